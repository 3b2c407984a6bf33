"""What this node's engines take of memory: reckoned before, measured then, and learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from byoi_agent.engine.kept_loads import KeptLoads
from byoi_agent.engine.load_watch import LoadWatch
from byoi_agent.engine.prediction import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.prediction import Prediction
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.planning.calibration import Accuracy


class Wanted(Protocol):
    """An engine that the owner wants, by the name that its view has."""

    @property
    def key(self) -> str: ...  # noqa: D102 see the class
    @property
    def settings(self) -> Settings: ...  # noqa: D102


class Engines(Protocol):
    """Those that the node has; `reconsider` hears when it is known better what they take."""

    @property
    def entries(self) -> Sequence[Wanted]: ...  # noqa: D102 see the class
    def reconsider(self) -> None: ...  # noqa: D102


class Learning:
    """Joins arithmetic, measurement and memory of both.

    `engines` is asked from `run` on only; `tell` hears how good the estimates are, now and whenever
    a load has taught something.
    """

    def __init__(
        self,
        paths: Paths,
        clock: Clock,
        engines: Callable[[], Engines],
        tell: Callable[[Accuracy | None], None],
    ) -> None:
        self._engines = engines
        self._tell = tell
        self._kept = KeptLoads(paths.loads_file)
        self._predictions = Predictions(paths)
        self._devices: tuple[DeviceReading, ...] = ()
        self._watch = LoadWatch(
            self._kept,
            predict=self._predict,
            clock=clock,
            on_known=self._known,
        )
        tell(self._kept.corrections.accuracy())

    def expected_bytes(self, wanted: Wanted) -> int | None:
        """What its engine will take, by all that is known; None where nothing is, or not yet."""
        return self._predictions.expected_bytes(wanted.settings, self._kept.corrections)

    def look(self, engines: Sequence[EngineView], devices: tuple[DeviceReading, ...]) -> None:
        """What there is now; cheap."""
        self._devices = devices
        self._watch.look(engines, devices)

    async def run(self) -> None:
        """Until cancelled."""
        await self._watch.run()

    def _known(self) -> None:
        self._tell(self._kept.corrections.accuracy())
        self._engines().reconsider()

    def _predict(self, view: EngineView) -> Prediction | None:
        wanted = {entry.key: entry.settings for entry in self._engines().entries}
        settings = wanted.get(view.key)
        return None if settings is None else self._predictions.of(settings, self._devices)

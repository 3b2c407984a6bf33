"""What a load is reckoned to take, under the name by which other loads teach it and learn of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.estimate import reckon
from byoi_agent.engine.kinds import llamacpp
from byoi_agent.engine.kinds.choice import is_vllm, vllm_release
from byoi_agent.errors import AgentError
from byoi_agent.planning.calibration import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.estimate import Demand
    from byoi_agent.engine.view import EngineLoad
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.planning.calibration import Corrections

_TELLING: Final = (
    *("engine", "model", "context_tokens", "kv_cache_gib", "gpu_memory_share"),
    *("tensor_parallel", "slots", "remote_code"),
)
"""Settings by which loads differ."""


@dataclass(frozen=True)
class Prediction:
    """What the arithmetic says of a load, before any correction.

    `is_on_devices` says whose memory is meant: the accelerators' or the machine's own. An engine
    that takes its share of them, whatever for, has a `demand`: only once it has told how much
    context it made of the rest can its share teach anything.
    """

    key: Key
    predicted_bytes: int
    is_on_devices: bool
    demand: Demand | None = None

    def reckoned_bytes(self, load: EngineLoad | None) -> int | None:
        """What the arithmetic says of the engine as it stands; None while that is not known."""
        if self.demand is None:
            return self.predicted_bytes
        if load is None or load.held_tokens is None:
            return None
        context = self.demand.request_bytes * load.held_tokens // self.key.context_tokens
        return self.demand.fixed_bytes + context

    def expected_bytes(self, corrections: Corrections) -> int:
        """Corrected by what earlier loads took; a share is what it is."""
        if self.demand is not None:
            return self.predicted_bytes
        return corrections.of(self.key, self.predicted_bytes).applied(self.predicted_bytes)


def predict(
    settings: Settings, paths: Paths, devices: Sequence[DeviceReading] = ()
) -> Prediction | None:
    """Of the settings of one model; None for what cannot be reckoned, such as a server of others.

    It reads the heads of the model's files: call it in a thread.
    """
    try:
        found = reckon(settings, paths, devices)
        if found is None or found.memory_bytes <= 0:
            return None
        engine, version = running_version(settings.engine)
    except AgentError:
        return None  # whoever loads it is told why it cannot be
    key = Key(
        engine=engine,
        version=version,
        model=found.model,
        quantisation=found.quantisation,
        context_tokens=found.context_tokens,
        concurrency=found.concurrency,
    )
    return Prediction(key, found.memory_bytes, found.is_on_devices, found.demand)


class Predictions:
    """Sole owner of what was reckoned in this process: reading heads takes a third of a second.

    What could not be reckoned is tried again, as a model's files may have come since.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: dict[str, Prediction] = {}

    def of(self, settings: Settings, devices: Sequence[DeviceReading]) -> Prediction | None:
        """As `predict`; call it in a thread."""
        name = _name_of(settings)
        if (known := self._known.get(name)) is not None:
            return known
        if (found := predict(settings, self._paths, devices)) is not None:
            self._known[name] = found
        return found

    def expected_bytes(self, settings: Settings, corrections: Corrections) -> int | None:
        """What to count with: corrected by what earlier loads took; None before `of` has known."""
        if (known := self._known.get(_name_of(settings))) is None:
            return None
        return known.expected_bytes(corrections)


def _name_of(settings: Settings) -> str:
    """Equal where the same load is meant."""
    return repr([getattr(settings, name) for name in _TELLING])


def running_version(engine: str) -> tuple[str, str]:
    """The engine that a setting means here, and its version with its build.

    Raises:
        ConfigError: there is none, or it cannot run here.
        EngineError: the GPU's driver does not answer.
    """
    if is_vllm(engine):
        release = vllm_release(engine)
        return "vllm", f"{release.version} {release.build}"
    return "llamacpp", llamacpp.RUNTIME.version

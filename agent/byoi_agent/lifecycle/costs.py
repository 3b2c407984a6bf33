"""Joins what is served with what its owner said of it: prices, and the devices that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.engine.kinds.choice import is_managed
from byoi_agent.hardware.host import ancestors
from byoi_agent.node.advertise import engine_name
from byoi_agent.usage.prices import PriceList
from byoi_wire.offers import Prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.config import tables
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.node.board import Board
    from byoi_agent.usage.books import Books
    from byoi_agent.usage.sampling import EnergySampler
    from byoi_wire.ids import ModelId
    from byoi_wire.offers import Measured


_LOOK_SECONDS: Final = 60.0
"""Hardware is read as seldom as once an hour, where its owner says so."""


class Engines(Protocol):
    """All engines of this node; the pool has them."""

    @property
    def views(self) -> tuple[EngineView, ...]: ...  # noqa: D102
    @property
    def entries(self) -> tuple[Entry, ...]: ...  # noqa: D102
    def gpus_of(self, entry: Entry) -> tuple[int, ...] | None: ...  # noqa: D102


class Costs:
    """Tells the books, the sampler of energy and the board, at each change of either side."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        books: Books,
        energy: EnergySampler,
        board: Board,
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._books = books
        self._energy = energy
        self._board = board
        self.look()

    async def run(self, clock: Clock) -> None:
        """Until cancelled: what pays now need not in the tariff's next hour."""
        while True:
            await clock.sleep_until(clock.monotonic() + _LOOK_SECONDS)
            self._board.update(at_a_loss=self._at_a_loss())

    def take(self, settings: Settings) -> None:
        """These settings hold from now on."""
        self._settings = settings
        self.look()

    def look(self) -> None:
        """Engines or devices have changed."""
        settings, views = self._settings, self._engines.views
        wanted = {entry.key: entry for entry in self._engines.entries}
        served = [(wanted[view.key], _names(view)) for view in views if view.key in wanted]
        prices = _price_list(settings.prices, served)
        self._books.take(settings.tariff, prices, has_stop_loss=settings.stop_loss == "on")
        devices = self._board.view.devices
        found = devices_of_engines(views, devices, ancestors)
        self._books.know_bench(_benched(views, self._board.view.measured))
        self._board.update(prices=prices, at_a_loss=self._at_a_loss())
        self._energy.know(
            tuple(model.id for view in views for model in view.models),
            _hosts_own(served, devices) | found | self._given_devices(served),
        )

    def _at_a_loss(self) -> frozenset[ModelId]:
        """Models whose requests stop-loss sends back now."""
        models = (model.id for view in self._engines.views for model in view.models)
        return frozenset(model for model in models if self._books.refusal(model) is not None)

    def _given_devices(
        self, served: Iterable[tuple[Entry, tuple[str, ...]]]
    ) -> dict[str, frozenset[int]]:
        """The GPUs that the owner named for an engine, or that the pool gave to it."""
        return {
            name: frozenset(gpus)
            for entry, names in served
            if (gpus := self._engines.gpus_of(entry)) is not None
            for name in names
        }


def devices_of_engines(
    views: Iterable[EngineView],
    devices: Sequence[DeviceReading],
    ancestors: Callable[[int], frozenset[int]],
) -> dict[str, frozenset[int]]:
    """By model, the devices on which the driver shows its engine; none where it shows it on none.

    The driver names the processes that compute, which are children of the one that was started. In
    a container it may name them by numbers of the host, and then says nothing.
    """
    users: dict[int, set[int]] = {}
    if len(devices) > 1:  # else there is nothing to choose
        for device in devices:
            for process in device.processes or ():
                for pid in ancestors(process.pid):
                    users.setdefault(pid, set()).add(device.index)
    return {
        name: frozenset(users[view.pid])
        for view in views
        if view.pid in users
        for name in _names(view)
    }


def _benched(
    views: Iterable[EngineView], measured: Mapping[tuple[ModelId, str], Measured]
) -> dict[str, float]:
    """Joules for a token, of models that were measured with the very engine that serves them."""
    found = {
        model.id: measured.get((model.id, engine_name(view.kind, view.version)))
        for view in views
        for model in view.models
    }
    return {
        name: one.joules_per_token
        for name, one in found.items()
        if one is not None and one.joules_per_token is not None
    }


def _price_list(
    general: tables.Prices | None, served: Iterable[tuple[Entry, tuple[str, ...]]]
) -> PriceList:
    """In the words of an offer."""
    own = {
        name: Prices.model_validate(entry.prices.model_dump())
        for entry, names in served
        if entry.prices is not None
        for name in names
    }
    return PriceList(None if general is None else Prices.model_validate(general.model_dump()), own)


def _hosts_own(
    served: Iterable[tuple[Entry, tuple[str, ...]]], devices: Sequence[DeviceReading]
) -> dict[str, frozenset[int]]:
    """Of engines that we start to compute in the machine's memory, the devices that do so.

    Those are the processor and Apple's chips: such an engine beside a card takes nothing of it.
    """
    own = frozenset(device.index for device in devices if device.kind in {"cpu", "apple"})
    return {
        name: own
        for entry, names in served
        if is_managed(entry.settings.engine) and not entry.kind.uses_gpus
        for name in names
    }


def _names(view: EngineView) -> tuple[str, ...]:
    return tuple(str(model.id) for model in view.models)

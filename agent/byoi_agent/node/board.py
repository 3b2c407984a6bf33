"""Where every room's part comes together into one view, and who is told of a change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from byoi_agent.node import advertise
from byoi_agent.node.view import Load, NodeView, OwnApi

if TYPE_CHECKING:
    from byoi_agent.availability.view import AvailabilityView
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.link.view import LinkView
    from byoi_agent.planning.calibration import Accuracy
    from byoi_agent.telemetry.health import HealthWarning
    from byoi_agent.usage.prices import PriceList
    from byoi_wire.ids import ModelId
    from byoi_wire.messages import Advertise
    from byoi_wire.offers import Host, Measured

Subscriber = Callable[[NodeView], None]

_OFFERED: Final = frozenset(
    {"host", "devices", "engine", "engines", "slots", "queue", "held", "measured", "prices"}
    | {"at_a_loss"}
)
"""The parts that the console hears of; the others change with every request."""


class Parts(TypedDict, total=False):
    """The parts of a view that rooms may replace."""

    host: Host
    devices: tuple[DeviceReading, ...]
    engine: EngineView
    engines: tuple[EngineView, ...]
    slots: int | None
    queue: int | None
    load: Load
    link: LinkView
    availability: AvailabilityView
    is_draining: bool
    warnings: tuple[HealthWarning, ...]
    measured: Mapping[tuple[ModelId, str], Measured]
    prices: PriceList
    at_a_loss: frozenset[ModelId]
    held: Mapping[str, int]
    own: OwnApi
    estimates: Accuracy | None


class Board:
    """Sole owner of the node's view. Rooms `update` their part; subscribers hear of each change.

    Subscribers are called in the same loop turn, must not block and must not raise. One of them may
    update the board itself: the others hear the newest view last.
    """

    def __init__(self, view: NodeView) -> None:
        self._view = view
        self._told = advertise.build(view)
        self._subscribers: list[Subscriber] = []

    @property
    def view(self) -> NodeView:
        """The node now."""
        return self._view

    @property
    def offer(self) -> Advertise:
        """What the console is to know now; the same object until there is news."""
        return self._told

    def update(self, **parts: Unpack[Parts]) -> None:
        """Replace parts of the view; nobody is told when nothing changed."""
        view = dataclasses.replace(self._view, **parts)
        if view == self._view:
            return
        if parts.keys() & _OFFERED and advertise.is_news(self._told, advertise.build(view)):
            view = dataclasses.replace(view, offer_version=self._view.offer_version + 1)
            self._told = advertise.build(view)
        self._view = view
        for subscriber in tuple(self._subscribers):
            subscriber(self._view)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` upon every change from now on; the answer ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    async def wait_until(self, holds: Callable[[NodeView], bool]) -> NodeView:
        """The first view, now or later, for which `holds` is true."""
        reached: asyncio.Future[NodeView] = asyncio.get_running_loop().create_future()

        def look(view: NodeView) -> None:
            if holds(view) and not reached.done():
                reached.set_result(view)

        unsubscribe = self.subscribe(look)
        try:
            look(self._view)
            return await reached
        finally:
            unsubscribe()

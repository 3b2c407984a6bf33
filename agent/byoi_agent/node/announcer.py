"""Tells the console what the board says: what is news at once, the load now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.node import advertise

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.clock import Clock
    from byoi_agent.node.board import Board
    from byoi_agent.node.view import NodeView
    from byoi_wire.messages import Advertise, Availability, ControlMessage

STATUS_SECONDS: Final = 5.0
"""Between statuses while nothing changes."""

CHANGED_SECONDS: Final = 0.5
"""Least time between statuses while the load changes with every request."""

NEWS_AT_ONCE: Final = 40
"""So much news in a row is told at once, and what follows with the next status: a console ends the
link of a node that never stops talking, which a program that pauses it in a loop would be."""


class Announcer:
    """Sole sender of availability, offers and statuses. `send` is False while there is no link.

    Whether the node serves is told before its offer: nothing may be sent to a node that is paused.
    """

    def __init__(self, board: Board, send: Callable[[ControlMessage], bool], clock: Clock) -> None:
        self._board = board
        self._send = send
        self._clock = clock
        self._told: Advertise | None = None
        self._told_availability: Availability | None = None
        self._load = board.view.load
        self._news_left = NEWS_AT_ONCE
        self._changed = asyncio.Event()
        board.subscribe(self._look)

    def link_online(self) -> None:
        """A link is there: a console that may know nothing hears everything."""
        self._told = None
        self._told_availability = None
        self._news_left = NEWS_AT_ONCE
        self._news()
        self._status()

    async def run(self) -> None:
        """Until cancelled: a status upon change of the load, and every few seconds."""
        while True:
            self._news_left = min(NEWS_AT_ONCE, self._news_left + 1)
            self._news()
            self._status()
            await self._clock.sleep_until(self._clock.monotonic() + CHANGED_SECONDS)
            try:
                async with asyncio.timeout(STATUS_SECONDS - CHANGED_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _look(self, view: NodeView) -> None:
        self._news()
        if view.load != self._load:
            self._load = view.load
            self._changed.set()

    def _news(self) -> None:
        now, offer = advertise.availability(self._board.view), self._board.offer
        if now == self._told_availability and offer is self._told:
            return
        if self._news_left <= 0:
            self._changed.set()
            return
        self._news_left -= 1
        if now != self._told_availability and self._send(now):
            self._told_availability = now
        if offer is not self._told and self._send(offer):
            self._told = offer

    def _status(self) -> None:
        self._changed.clear()
        self._send(advertise.status(self._board.view))

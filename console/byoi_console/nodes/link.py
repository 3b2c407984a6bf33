"""One proven link: what the node says on it, counted, and passed to whom it concerns."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from byoi_console.nodes.limits import ControlLimits
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import Advertise, Renew, UsageBatch

if TYPE_CHECKING:
    from byoi_console.nodes.session import LiveSession
    from byoi_wire.aio.connection import Connection
    from byoi_wire.messages import ControlMessage, UsageAck

logger = logging.getLogger(__name__)

BATCHES_WAITING: Final = 8
BUSY_CLOSE: Final = 1013


class Hearers(Protocol):
    """Who hears what a node says (`endpoint.AgentsDoor` is them)."""

    def advertised(self, live: LiveSession, message: Advertise) -> None:
        """What it offers."""

    def told(self, live: LiveSession, message: ControlMessage) -> None:
        """What routing should know."""

    async def book(self, live: LiveSession, batch: UsageBatch) -> UsageAck | None:
        """Its usage; None: it must come again."""


class Link:
    """One link's control messages, usage in a task of its own so that the rest never waits."""

    def __init__(self, hearers: Hearers, live: LiveSession) -> None:
        self._hearers = hearers
        self._live = live
        self._batches: asyncio.Queue[UsageBatch] = asyncio.Queue(BATCHES_WAITING)
        self._limits = ControlLimits()
        self._monotonic = asyncio.get_running_loop().time

    def text_received(self) -> None:
        """Some text came; too many end the link."""
        self._limits.text(self._monotonic())

    def control_received(self, message: ControlMessage) -> None:
        """Pass it to its owner; a full queue of usage ends the link: the records come again."""
        self._limits.message(message.type, self._monotonic())
        match message:
            case Advertise():
                self._hearers.advertised(self._live, message)
            case UsageBatch():
                if self._batches.full():
                    raise ProtocolViolation("more usage than was acknowledged", BUSY_CLOSE)
                self._batches.put_nowait(message)
            case Renew():
                pass
            case _:
                self._hearers.told(self._live, message)

    async def book(self, connection: Connection) -> None:
        """Until cancelled, batch by batch."""
        while True:
            batch = await self._batches.get()
            try:
                ack = await self._hearers.book(self._live, batch)
            except ProtocolViolation as violation:
                logger.warning(
                    "usage refused", extra={"node": self._live.node_id, "reason": str(violation)}
                )
                connection.close(violation.close_code, str(violation))
                return
            if ack is None:
                # The link stays: the node asks again when its next record or link comes.
                logger.error("usage not booked", extra={"node": self._live.node_id})
            else:
                connection.control(ack)

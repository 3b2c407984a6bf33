"""The live sessions: which link carries each, how a broken one comes back, who is fenced off."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, NamedTuple

from byoi_console.routing.registry import SERVES
from byoi_wire.aio.session import Session
from byoi_wire.errors import ProtocolViolation
from byoi_wire.ids import SessionId
from byoi_wire.messages import Goaway, RotateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from byoi_console.routing.registry import Registry
    from byoi_wire.aio.connection import Closed, Connection
    from byoi_wire.ids import InstanceId, NodeId, OrgId
    from byoi_wire.messages import (
        Advertise,
        Availability,
        ControlMessage,
        GoawayReason,
        Hello,
        StreamOffset,
    )

logger = logging.getLogger(__name__)

NORMAL_CLOSE = 1000
POLICY_CLOSE = 1008


class LiveSession:
    """One session of one node's process; `routing` sees it as a node to open streams at.

    Sole owner of which connection carries the session.
    """

    def __init__(self, node_id: NodeId, org_id: OrgId, instance_id: InstanceId, epoch: int) -> None:
        self.node_id = node_id
        self.org_id = org_id
        self.instance_id = instance_id
        self.epoch = epoch
        self.session_id = SessionId(secrets.token_hex(12))
        self.session = Session()
        self.advertise: Advertise | None = None
        self.availability = SERVES
        self.connection: Connection | None = None
        self.address = ""
        self.grace: asyncio.TimerHandle | None = None

    def carry(self, connection: Connection, epoch: int, address: str) -> None:
        """This link, from that address, carries the session from now on."""
        if self.grace is not None:
            self.grace.cancel()
            self.grace = None
        self.epoch = epoch
        self.connection = connection
        self.address = address

    def drop_link(self) -> None:
        """The link is not to be trusted any more: close it without a word."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort("the same process came back on another link")
            self.session.detach(connection)

    def dismiss(self, reason: GoawayReason, code: int) -> None:
        """Tell the node why its link ends, and end it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.control(Goaway(reason=reason))
            connection.close(code, reason)


class Admission(NamedTuple):
    """The session that a hello leads to; `resumed` is None where it is a new one."""

    live: LiveSession
    resumed: tuple[StreamOffset, ...] | None


class Sessions:
    """Sole owner of the live sessions, one per node.

    A session whose link broke waits `grace_seconds` for another; then its streams are lost. A new
    process with the same key ends the old one's session at once.
    """

    def __init__(self, registry: Registry, grace_seconds: float) -> None:
        self._registry = registry
        self._grace_seconds = grace_seconds
        self._live: dict[NodeId, LiveSession] = {}
        self._orders: set[NodeId] = set()
        self._farewell: Callable[[], Goaway] | None = None

    def admit(self, hello: Hello, org_id: OrgId, epoch: int) -> Admission | None:
        """Decide what a proven hello becomes; None where a later link of the node was faster."""
        old = self._live.get(hello.node_id)
        if old is not None and old.epoch > epoch:
            return None
        if old is not None and old.instance_id == hello.instance_id:
            old.drop_link()
            if (resumed := self._resume(old, hello)) is not None:
                return Admission(old, resumed)
            self._end(old, "the node began a new session")
        elif old is not None:
            logger.info("node replaced", extra={"node": hello.node_id, "epoch": epoch})
            old.dismiss("replaced", NORMAL_CLOSE)
            self._end(old, "another process took this node's place")
        live = LiveSession(hello.node_id, org_id, hello.instance_id, epoch)
        self._live[hello.node_id] = live
        return Admission(live, None)

    def _resume(self, old: LiveSession, hello: Hello) -> tuple[StreamOffset, ...] | None:
        if hello.resume is None or hello.resume.session_id != old.session_id:
            return None
        try:
            return old.session.settle(hello.resume.streams)
        except ProtocolViolation as violation:
            logger.warning("resume refused", extra={"node": old.node_id, "reason": str(violation)})
            return None

    def advertised(self, live: LiveSession, advertise: Advertise) -> None:
        """The node says what it offers."""
        if live.advertise is None:
            self._registry.add(live, advertise, live.availability)
        else:
            self._registry.update(live.node_id, advertise)
        live.advertise = advertise

    def available(self, live: LiveSession, availability: Availability) -> None:
        """The node says whether it serves; it may say so before it offers anything."""
        before, live.availability = live.availability, availability
        if (before.serving, before.code) != (availability.serving, availability.code):
            logger.info(
                "node serves" if availability.serving else "node away",
                extra={"node": live.node_id, "code": availability.code},
            )
        if live.advertise is not None:
            self._registry.set_availability(live.node_id, availability)

    def carried(
        self, live: LiveSession, connection: Connection, epoch: int, address: str = ""
    ) -> None:
        """A link carries the session again, or for the first time."""
        live.carry(connection, epoch, address)
        if live.node_id in self._orders:
            self.ask_for_new_key(live.node_id)
        if self._farewell is not None:
            connection.control(self._farewell())
        self._registry.changed()

    def lost(self, live: LiveSession, connection: Connection, closed: Closed) -> bool:
        """A link ended; True where that was the node's goodbye rather than an accident."""
        if live.connection is not connection:
            return False  # it has been replaced or dismissed: its end is not news
        live.connection = None
        if closed.code == NORMAL_CLOSE:
            self._end(live, "the node has left")
            return True
        self._registry.changed()
        loop = asyncio.get_running_loop()
        live.grace = loop.call_later(self._grace_seconds, self._give_up, live)
        return False

    def disconnect(self, node_id: NodeId) -> None:
        """The node is revoked, or its key is another machine's now: its session ends at once."""
        if (live := self._live.get(node_id)) is not None:
            live.dismiss("revoked", POLICY_CLOSE)
            self._end(live, "the node was revoked")

    def ask_for_new_key(self, node_id: NodeId) -> bool:
        """Pass on the order to make a new key; False: no link leads there now.

        The record keeps the order for the next link; one that comes up at this very moment may
        have been read before it was written, so it is kept here as well.
        """
        live = self._live.get(node_id)
        if live is None or live.connection is None:
            self._orders.add(node_id)
            return False
        self._orders.discard(node_id)
        live.connection.control(RotateKey(reason="ordered by an administrator"))
        return True

    def send(self, node_id: NodeId, message: ControlMessage) -> bool:
        """Tell a node something; False: no link leads there now."""
        live = self._live.get(node_id)
        if live is None or live.connection is None:
            return False
        live.connection.control(message)
        return True

    def address(self, node_id: NodeId) -> str | None:
        """Where the node's link comes from; None: no link leads there now."""
        live = self._live.get(node_id)
        return live.address if live is not None and live.connection is not None else None

    def drain(self, reconnect_in_seconds: Callable[[], float], try_for_seconds: float) -> None:
        """Ask every node to come back later, each at a time of its own.

        One whose link is only being proven hears it as soon as that carries its session.
        """

        def farewell() -> Goaway:
            return Goaway(
                reason="restart",
                reconnect_in_ms=round(reconnect_in_seconds() * 1000),
                try_for_ms=round(try_for_seconds * 1000),
            )

        self._farewell = farewell
        for live in self._live.values():
            if live.connection is not None:
                live.connection.control(farewell())

    def close(self) -> None:
        """The console stops: no link stays, and no stream."""
        for live in tuple(self._live.values()):
            connection, live.connection = live.connection, None
            if connection is not None:
                connection.close(1012, "the console restarts")
            self._end(live, "the console stops")

    def renew_exhausted(self) -> None:
        """End the sessions that can open no stream any more and have none left: others follow."""
        for live in tuple(self._live.values()):
            if live.session.is_exhausted and not live.session.unfinished:
                live.dismiss("stream_ids", NORMAL_CLOSE)
                self._end(live, "the session's stream ids are used up")

    def connected(self) -> Iterable[NodeId]:
        """Nodes that a link leads to now."""
        return [live.node_id for live in self._live.values() if live.connection is not None]

    def _give_up(self, live: LiveSession) -> None:
        live.grace = None
        logger.info("node did not come back", extra={"node": live.node_id})
        self._end(live, "the node did not come back in time")

    def _end(self, live: LiveSession, reason: str) -> None:
        if live.grace is not None:
            live.grace.cancel()
        if self._live.get(live.node_id) is live:
            del self._live[live.node_id]
        self._registry.remove(live.node_id, live)
        live.session.abandon(reason)

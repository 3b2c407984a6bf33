"""Runs what the link's machine decides: dials, keeps the session over broken links, renews."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from byoi_agent.errors import LinkError
from byoi_agent.link import machine, network
from byoi_agent.link.address import link_url
from byoi_agent.link.connection import Proven, connect, tls_context
from byoi_agent.link.machine import (
    Abandon,
    Command,
    Dial,
    Drop,
    Event,
    Failed,
    GoneAway,
    Idle,
    KeyChanged,
    Limits,
    Rejected,
    RouteChanged,
    StartWanted,
    State,
    Stop,
    WakeAt,
    Welcomed,
    Woke,
)
from byoi_agent.link.view import LinkView
from byoi_wire.aio.connection import Closed, Connection
from byoi_wire.aio.session import Session, StreamHandler
from byoi_wire.errors import HandshakeRefused, ProtocolViolation
from byoi_wire.ids import InstanceId
from byoi_wire.messages import (
    Goaway,
    PinAsk,
    PinEnd,
    Renew,
    ResumeOffer,
    RotateKey,
    UsageAck,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.identity.keys import Identity
    from byoi_agent.link.machine import StopCode
    from byoi_wire.ids import SessionId, StreamId
    from byoi_wire.messages import ControlMessage, OpenHead, Welcome

logger = logging.getLogger(__name__)

RENEW_RANGE: Final = (1.0, 60.0)
GRACE_RANGE: Final = (0.0, 300.0)
HINT_RANGE: Final = (0.0, 3600.0)
HINT_RANGE_MS: Final = (0, 3_600_000)
"""What a console may ask of a node, in seconds: it shall neither spin nor stay away for ever."""

_MESSAGES: dict[StopCode, str] = {
    "replaced": "another process runs with this node's key, so this one stops; "
    "a copied disk needs its own enrolment: byoi enroll --replace",
    "revoked": "the console has revoked this node; enrol it again: byoi enroll --replace",
    "reauth": "the console does not know this node's key; enrol it again: byoi enroll --replace",
    "upgrade_required": "the console needs a newer agent; update byoi",
    "wanted": "stopped",
}


_Number = TypeVar("_Number", int, float)


class Uplink(Protocol):
    """What rooms beside the link need of it."""

    def send(self, message: ControlMessage) -> bool:
        """Send if there is a link; False where there is none."""


class LinkStopped(LinkError):
    """The link has ended for good.

    Attributes:
        code: why; `exit_code` is what the process should leave with.
    """

    def __init__(self, code: StopCode, message: str) -> None:
        super().__init__(message, retry=False)
        self.code = code
        self.exit_code = machine.exit_code(code)


class KeyWatch(Protocol):
    """Who keeps the node's keys, as the link tells them what became of each."""

    def proven(self, identity: Identity) -> None:
        """The console has welcomed the node under this one."""

    def refused(self, identity: Identity) -> None:
        """The console does not know this successor; the link goes on under the one before."""

    def rotation_ordered(self, reason: str) -> None:
        """The console wants the node to have another key."""


class LinkSupervisor:
    """Sole owner of the link, of the session over it, and of whom it is proven as.

    `accept` is called for each request with the session that it came by: a stream's id means
    nothing in another session. `on_online` is called after each welcome, for what must be said
    first (the advertisement) and what was left unsaid (usage).
    """

    def __init__(
        self,
        identity: Identity,
        *,
        console_url: str,
        accept: Callable[[Session, StreamId, OpenHead], StreamHandler],
        on_online: Callable[[], None],
        on_offline: Callable[[], None],
        on_usage_ack: Callable[[UsageAck], None],
        publish: Callable[[LinkView], None],
        clock: Clock,
        agent: str,
        ca_file: Path | None = None,
        limits: Limits | None = None,
        keys: KeyWatch | None = None,
    ) -> None:
        self._identity = identity
        self._successor = identity.successor
        self._keys = keys
        self._url = link_url(console_url)
        self._tls = tls_context(ca_file) if self._url.startswith("wss:") else None
        self._accept = accept
        self._on_online = on_online
        self._on_offline = on_offline
        self._on_usage_ack = on_usage_ack
        self._publish = publish
        self._clock = clock
        self._agent = agent
        self._limits = limits or Limits()
        self._instance_id = InstanceId(secrets.token_hex(16))
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._state: State = Idle()
        self._session: Session | None = None
        self._session_id: SessionId | None = None
        self._connection: Connection | None = None
        self._view = LinkView()
        self._hear_pin: Callable[[PinAsk | PinEnd], None] | None = None

    @property
    def view(self) -> LinkView:
        """Where the link stands."""
        return self._view

    def send(self, message: ControlMessage) -> bool:
        """Send if there is a link; False where there is none."""
        if self._connection is None:
            return False
        self._connection.control(message)
        return True

    def hear_pins(self, heard: Callable[[PinAsk | PinEnd], None]) -> None:
        """Have this one told when the console asks for the node, or does so no more."""
        self._hear_pin = heard

    def succeed(self, successor: Identity) -> None:
        """Come back at once under the node's next key; the session goes on.

        Until the console has welcomed it, `keys` hears nothing; a console that refuses it is shown
        the present key again.
        """
        self._successor = successor
        self._events.put_nowait(KeyChanged())

    async def run(self) -> None:
        """Until cancelled; leaves no link and no stream behind.

        Raises:
            LinkStopped: the console ended it for good; the message is for the owner.
        """
        ended: BaseExceptionGroup[LinkStopped] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._tls is not None:  # a console on this machine is reached in every network
                    tasks.create_task(
                        network.watch(self._clock, self._network_changed), name="network watch"
                    )
                self._events.put_nowait(StartWanted())
                while True:
                    event = await self._events.get()
                    now = self._clock.monotonic()
                    self._state, commands = machine.step(self._state, event, now, self._limits)
                    self._show_next_try(now)
                    for command in commands:
                        self._carry_out(command, tasks)
        except* LinkStopped as stopped:
            ended = stopped
        finally:
            self._abandon("the agent stops")
        if ended is not None:  # raised out here: Python before 3.11.4 would wrap it once more
            raise ended.exceptions[0] from None

    # Carrying out

    def _carry_out(self, command: Command, tasks: asyncio.TaskGroup) -> None:
        match command:
            case Dial():
                tasks.create_task(self._hold_link(), name="link")
            case Drop(reason):
                if self._connection is not None:
                    self._connection.abort(reason)
            case WakeAt(at):
                tasks.create_task(self._wake(at), name=f"link wakes at {at:.1f}")
            case Abandon():
                self._abandon("the link did not come back in time")
            case Stop(code, message):
                self._show(state="stopped", reason=message)
                raise LinkStopped(code, message)

    async def _wake(self, at: float) -> None:
        await self._clock.sleep_until(at)
        self._events.put_nowait(Woke())

    async def _hold_link(self) -> None:
        """One link's whole life; its end is the machine's next event."""
        self._events.put_nowait(await self._end_of_link())

    async def _end_of_link(self) -> Event:
        dice = random.random()  # noqa: S311 (jitter, not a secret)
        identity = self._successor or self._identity
        try:
            proven = await self._dial(identity)
        except HandshakeRefused as refusal:
            return self._refused(refusal, identity, dice)
        except LinkError as error:
            self._lost(str(error))
            return Failed(dice, error.retry_after_seconds, self._answers)
        closed = await self._serve(proven, identity)
        self._lost(f"link lost ({closed.code}{' ' + closed.reason if closed.reason else ''})")
        return Failed(dice, answers=self._answers)

    @property
    def _answers(self) -> int:
        return 0 if self._session is None else self._session.unfinished

    async def _dial(self, identity: Identity) -> Proven:
        resume = None
        if self._session is not None and self._session_id is not None:
            resume = ResumeOffer(session_id=self._session_id, streams=self._session.offer())
        return await connect(
            self._url,
            identity,
            self._instance_id,
            resume,
            tls=self._tls,
            agent=self._agent,
        )

    async def _serve(self, proven: Proven, identity: Identity) -> Closed:
        session = self._continue(proven.welcome)
        if session is None:
            proven.channel.abort()
            return Closed(1002, "the console resumed what never was")
        connection = Connection(proven.channel, session, self._control_received)
        self._connection = connection
        try:
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(
                    self._renew(connection, _within(proven.welcome.renew_seconds, RENEW_RANGE)),
                    name="lease",
                )
                self._online(proven.welcome)
                self._proven_as(identity)
                connection.start(proven.inbox.rest())
                closed = await connection.run()
                renewing.cancel()
        finally:
            self._connection = None
            self._on_offline()
        return closed

    def _continue(self, welcome: Welcome) -> Session | None:
        """The session that this welcome means; None where it cannot be."""
        if welcome.resumed is not None:
            if self._session is None:  # given up while this handshake was under way
                return None
            try:
                self._session.settle(welcome.resumed)
            except ProtocolViolation as violation:
                logger.warning("cannot resume", extra={"reason": str(violation)})
                self._abandon("the link cannot be resumed")
                return None
        else:
            self._abandon("the console began a new session")
            self._session = _session(self._accept)
        self._session_id = welcome.session_id
        return self._session

    def _online(self, welcome: Welcome) -> None:
        resumed = welcome.resumed is not None
        self._show(
            state="online",
            reason=None,
            session_id=welcome.session_id,
            epoch=welcome.epoch,
            connects=self._view.connects + 1,
            resumes=self._view.resumes + resumed,
        )
        logger.info("link online", extra={"epoch": welcome.epoch, "resumed": resumed})
        self._events.put_nowait(Welcomed(_within(welcome.grace_seconds, GRACE_RANGE)))
        self._on_online()

    def _proven_as(self, identity: Identity) -> None:
        if self._successor is identity:
            self._successor = None
        elif self._successor is not None:  # named while this link was being dialled
            self._events.put_nowait(KeyChanged())
        self._identity = identity
        if self._keys is not None:
            self._keys.proven(identity)

    async def _renew(self, connection: Connection, every_seconds: float) -> None:
        sequence = 0
        while True:
            sequence += 1
            connection.control(Renew(seq=sequence))
            await self._clock.sleep_until(self._clock.monotonic() + every_seconds)

    def _network_changed(self, what: str) -> None:
        logger.info("network changed", extra={"what": what})
        self._events.put_nowait(RouteChanged())

    def _control_received(self, message: ControlMessage) -> None:
        if isinstance(message, UsageAck):
            self._on_usage_ack(message)
        elif isinstance(message, Goaway):
            self._goaway(message)
        elif isinstance(message, RotateKey) and self._keys is not None:
            self._keys.rotation_ordered(message.reason)
        elif isinstance(message, PinAsk | PinEnd) and self._hear_pin is not None:
            self._hear_pin(message)

    def _goaway(self, goaway: Goaway) -> None:
        logger.info("console says goaway", extra={"reason": goaway.reason})
        match goaway.reason:
            case "replaced" | "revoked" as code:
                self._events.put_nowait(Rejected(code, _MESSAGES[code]))
            case _:
                seconds = _within(goaway.reconnect_in_ms, HINT_RANGE_MS) / 1000
                self._events.put_nowait(GoneAway(seconds))

    def _refused(self, refusal: HandshakeRefused, identity: Identity, dice: float) -> Event:
        match refusal.code:
            case "revoked" | "reauth" if identity is not self._identity:
                return self._refused_successor(identity, dice)
            case "revoked" | "reauth" | "upgrade_required" as code:
                return Rejected(code, _MESSAGES[code])
            case _:
                self._lost(f"the console refused: {refusal}")
                hint = refusal.retry_after_seconds
                seconds = None if hint is None else _within(hint, HINT_RANGE)
                return Failed(dice, seconds, self._answers)

    def _refused_successor(self, identity: Identity, dice: float) -> Event:
        """The key before it may still be good; where it is not, that dial says so for good."""
        if self._successor is identity:
            self._successor = None
        if self._keys is not None:
            self._keys.refused(identity)
        self._lost("the console does not know the node's new key")
        return Failed(dice, answers=self._answers)

    def _lost(self, reason: str) -> None:
        if self._view.state != "waiting":  # the first failure is news, the next fifty are not
            logger.warning("link lost", extra={"reason": reason})
        self._show(state="waiting", reason=reason, last_error=reason)

    def _show_next_try(self, now: float) -> None:
        at = None
        if isinstance(self._state, machine.Waiting):
            at = self._clock.wall() + self._state.until - now
        self._show(next_try_at=at)

    def _abandon(self, reason: str) -> None:
        session, self._session, self._session_id = self._session, None, None
        if session is not None:
            session.abandon(reason)

    def _show(self, **changes: object) -> None:
        if changes.get("state", self._view.state) != self._view.state or self._view.since is None:
            changes["since"] = self._clock.wall()
        view = replace(self._view, **changes)  # type: ignore[arg-type]  # checked by its callers
        if view != self._view:
            self._view = view
            self._publish(view)


def _within(value: _Number, bounds: tuple[_Number, _Number]) -> _Number:
    """A console's number as far as we go along with it."""
    low, high = bounds
    return min(max(value, low), high)


def _session(accept: Callable[[Session, StreamId, OpenHead], StreamHandler]) -> Session:
    """A session whose streams know which session they belong to."""

    def accept_here(stream: StreamId, head: OpenHead) -> StreamHandler:
        return accept(session, stream, head)

    session = Session(accept=accept_here)
    return session

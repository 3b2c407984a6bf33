"""One connection of a session: codec and mux over a channel, gathered writes, and liveness."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_wire import codec
from byoi_wire.aio.channel import FULL_BYTES
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import ControlMessage, Ping, Pong
from byoi_wire.version import (
    PING_BUSY_ANSWER_SECONDS,
    PING_BUSY_SECONDS,
    PING_IDLE_ANSWER_SECONDS,
    PING_IDLE_SECONDS,
    PINGS_MISSED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from byoi_wire.aio.channel import Channel
    from byoi_wire.aio.session import Session

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.002
"""How long DATA may wait for company while the link is busy."""

BUSY_FRAMES: Final = 8
"""From so many frames per `GATHER_SECONDS` on, the link counts as busy; below, nothing waits."""

MESSAGE_BUDGET_BYTES: Final = 40 * 1024
"""Gathered per message; one more frame of 16 KiB on top stays below the message limit."""

CLOCK_JUMP_SECONDS: Final = 5.0
"""Wall against monotonic time: beyond this the machine slept, and the link is not to be trusted."""

_BUSY_PINGS: Final = (PING_BUSY_SECONDS, PING_BUSY_ANSWER_SECONDS)
_IDLE_PINGS: Final = (PING_IDLE_SECONDS, PING_IDLE_ANSWER_SECONDS)

NORMAL_CLOSE: Final = 1000
ABNORMAL_CLOSE: Final = 1006
GOODBYE_SECONDS: Final = 1.0


class Closed(NamedTuple):
    """How a connection ended; 1006 where the peer went without a word."""

    code: int
    reason: str


class Connection:
    """Sole owner of one channel: what comes in goes to the session, what waits there goes out.

    Frames written during one turn of the event loop leave as one message; while the link is busy,
    DATA gathers a little longer, so that the cost of a chunk falls as the load grows.

    `on_text` hears of every text message, pings included, before it is read; both it and
    `on_control` may raise ProtocolViolation to end the link.
    """

    def __init__(
        self,
        channel: Channel,
        session: Session,
        on_control: Callable[[ControlMessage], None],
        *,
        on_text: Callable[[], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._session = session
        self._on_control = on_control
        self._on_text = on_text
        self._closed: asyncio.Future[Closed] = self._loop.create_future()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._is_flush_due = False
        self._last_flush = 0.0
        self._recent_frames = 0.0
        self._liveness = _Liveness(self)
        self._gone = asyncio.Event()

    def start(self, early: Iterable[bytes | str] = ()) -> None:
        """Carry the session from now on; `early` came right behind the handshake."""
        self._session.attach(self)
        self._liveness.start()
        for message in early:
            self.message_received(message)
        self._channel.attach(self)
        self.poke(is_urgent=True)

    async def run(self) -> Closed:
        """Until the channel is gone or closing; cancelled, it says goodbye first."""
        try:
            return await asyncio.shield(self._closed)
        except asyncio.CancelledError:
            await self.goodbye("going away")
            raise
        finally:
            self._liveness.stop()
            self._session.detach(self)
            if self._flush_timer is not None:
                self._flush_timer.cancel()

    def control(self, message: ControlMessage) -> None:
        """Send a control message at once, ahead of all frames that still wait."""
        self._channel.send(codec.encode_control(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the channel with a word; it may take a moment to be gone."""
        self._channel.close(code, reason)
        self._finish(code, reason)

    async def goodbye(self, reason: str) -> None:
        """Close and wait, for a moment, until the peer has heard it."""
        self._channel.close(NORMAL_CLOSE, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._gone.wait()

    def abort(self, reason: str) -> None:
        """Drop the channel: the peer cannot be reached, or a newer link has its place."""
        self._finish(ABNORMAL_CLOSE, reason)
        self._channel.abort()

    @property
    def is_busy(self) -> bool:
        """Whether streams are open, so that silence must be noticed soon."""
        return self._session.unfinished > 0

    def poke(self, *, is_urgent: bool) -> None:
        """Frames wait: leave with this turn of the loop, or gather company where that pays."""
        if is_urgent:
            self._liveness.hurry()
        if self._is_flush_due:
            return
        if is_urgent or self._recent_frames < BUSY_FRAMES:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)
        elif self._flush_timer is None:
            self._flush_timer = self._loop.call_at(self._last_flush + GATHER_SECONDS, self._flush)

    def poke_later(self) -> None:
        """Credit waits: it goes with whatever goes next, or alone in a moment."""
        if not self._is_flush_due and self._flush_timer is None:
            self._flush_timer = self._loop.call_later(GATHER_SECONDS, self._flush)

    # What the channel calls

    def message_received(self, message: bytes | str) -> None:
        """Frames go to the session, control messages to their owner; nonsense closes the link."""
        self._liveness.heard()
        if self._closed.done():
            return
        try:
            if isinstance(message, bytes):
                self._session.frames_received(codec.decode(message))
                self._liveness.hurry()
            else:
                self._text_received(message)
        except ProtocolViolation as violation:
            logger.warning("peer broke the protocol", extra={"reason": str(violation)})
            self.close(violation.close_code, str(violation))

    def channel_writable(self) -> None:
        """The transport has room again."""
        self._flush()

    def channel_closed(self, code: int, reason: str) -> None:
        """The channel is gone."""
        self._gone.set()
        self._finish(code, reason)

    # Inside

    def _text_received(self, text: str) -> None:
        if self._on_text is not None:
            self._on_text()
        if (control := codec.decode_control(text)) is not None:
            self._control_received(control)

    def _control_received(self, message: ControlMessage) -> None:
        if isinstance(message, Ping):
            self.control(Pong(seq=message.seq))
        elif not isinstance(message, Pong):
            self._on_control(message)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._closed.done():
            return
        session, channel, count = self._session, self._channel, 0
        while session.has_frames and channel.buffered_bytes <= FULL_BYTES:
            if not (frames := session.take(MESSAGE_BUDGET_BYTES)):
                break
            count += len(frames)
            channel.send(codec.encode(frames))
        session.taken()
        self._note_rate(count)

    def _note_rate(self, count: int) -> None:
        """Frames per `GATHER_SECONDS`, smoothed over about as long."""
        now = self._loop.time()
        gap = now - self._last_flush
        self._last_flush = now
        if gap > GATHER_SECONDS:
            self._recent_frames = count * GATHER_SECONDS / gap
        else:
            self._recent_frames = self._recent_frames * (1 - gap / GATHER_SECONDS) + count

    def _finish(self, code: int, reason: str) -> None:
        if not self._closed.done():
            self._closed.set_result(Closed(code, reason))
            self._liveness.stop()


class _Liveness:
    """Pings, and the verdict when they stay unanswered; a suspend ends the link at once."""

    def __init__(self, connection: Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0
        self._unanswered = 0
        self._is_asking = False
        self._is_relaxed = False
        self._clock_offset = 0.0

    def start(self) -> None:
        self._clock_offset = _clock_offset()
        self._schedule()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """Anything that arrives shows that the peer is there."""
        self._unanswered = 0

    def hurry(self) -> None:
        """A stream may have opened: silence now matters sooner."""
        if self._is_relaxed and self._connection.is_busy:
            self.stop()
            self._schedule()

    def _schedule(self) -> None:
        """Until a ping that is out must have been answered, or else until the next is due."""
        is_busy = self._connection.is_busy
        every, answer = _BUSY_PINGS if is_busy else _IDLE_PINGS
        self._is_relaxed = not is_busy
        wait = answer if self._is_asking else every - answer
        self._timer = self._loop.call_later(wait, self._tick)

    def _tick(self) -> None:
        before, self._clock_offset = self._clock_offset, _clock_offset()
        if abs(self._clock_offset - before) > CLOCK_JUMP_SECONDS:
            self._connection.abort("the clock jumped: this machine slept or its time was set")
            return
        if self._unanswered >= PINGS_MISSED:
            self._connection.abort(f"{PINGS_MISSED} pings unanswered")
            return
        if self._is_asking and not self._unanswered:
            self._is_asking = False
        else:
            self._ask()
        self._schedule()

    def _ask(self) -> None:
        self._is_asking = True
        self._unanswered += 1
        self._seq += 1
        self._connection.control(Ping(seq=self._seq))


def _clock_offset() -> float:
    return time.time() - time.monotonic()

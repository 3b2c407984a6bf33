"""Many request streams over one link: windows by absolute offset, and what resume needs.

What was sent but not yet reported `received` is kept, so that it can be sent again over the next
connection; since the limit never runs ahead of `received` by more than the window, neither does
what is kept. The halves of a stream are counted in `window`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from byoi_wire.errors import ProtocolViolation
from byoi_wire.ids import StreamId
from byoi_wire.messages import (
    Data,
    End,
    EndReceived,
    Event,
    Frame,
    Head,
    HeadReceived,
    Open,
    Reset,
    ResetCode,
    ResetReceived,
    StreamOpened,
    Window,
)
from byoi_wire.version import (
    STREAM_ID_LIMIT,
    STREAMS_LIMIT,
    WINDOW_BYTES,
)
from byoi_wire.window import Ordered, Receiving, Sending

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUE_HIGH_BYTES: Final = 64 * 1024
"""Unsent bytes of one stream from which on `send` asks its caller to wait …"""
QUEUE_LOW_BYTES: Final = 16 * 1024
"""… and at which it may go on."""

GRANT_BYTES: Final = 8 * 1024
"""Consumed bytes upon which a WINDOW is due: until it comes, the sender keeps them all."""

URGENT_LIMIT: Final = 2 * STREAMS_LIMIT
"""Resets that may wait for a console which opens streams but does not read what becomes of them."""

_FRAME_OVERHEAD: Final = 10
_URGENT_BYTES: Final = 26


class _Stream:
    __slots__ = ("is_ready", "receiving", "sending")

    def __init__(self, window: int) -> None:
        self.sending = Sending(window)
        self.receiving = Receiving(window)
        self.is_ready = False


class Mux:
    """Sole owner of the streams of one session: frames in, events out; `take` what is to be sent.

    Outlives the session's connections. `opens` is true at the console, which alone opens streams.
    """

    def __init__(self, *, opens: bool, window: int = WINDOW_BYTES) -> None:
        self.opens = opens
        self._window = window
        self._grant_bytes = min(window // 2, GRANT_BYTES)
        self._streams: dict[StreamId, _Stream] = {}
        self._newest = StreamId(0)
        self._urgent: deque[Reset | Window] = deque()
        self._windows: dict[StreamId, None] = {}  # streams whose WINDOW is due, in order
        self._ready: deque[StreamId] = deque()
        self._allowed: list[StreamId] = []

    # What the application does

    def open(self, head: bytes) -> StreamId:
        """Begin a stream; console only.

        Raises:
            OverflowError: the session's stream ids are used up; start another session.
        """
        if not self.opens:
            raise RuntimeError("only the console opens streams")
        if self.is_exhausted:
            raise OverflowError("no stream ids left in this session")
        self._newest = stream = StreamId(self._newest + 1)
        self._streams[stream] = _Stream(self._window)
        self._put(stream, Open(stream, head))
        return stream

    def head(self, stream: StreamId, head: bytes) -> None:
        """Begin the answer; node only, once, before any `send`."""
        self._put(stream, Head(stream, head))

    def send(self, stream: StreamId, data: bytes, flags: int = 0) -> bool:
        """Queue a piece of the body; False asks to wait until `take_allowed` names the stream."""
        if (state := self._streams.get(stream)) is None or state.sending.ended or not data:
            return True  # it crossed a reset on the way: nobody waits for it
        sending = state.sending
        sending.put_data(stream, data, flags)
        if not state.is_ready:
            self._make_ready(stream, state)
        sending.waiting = is_full = sending.queued_bytes >= QUEUE_HIGH_BYTES
        return not is_full

    def end(self, stream: StreamId, trailer: bytes = b"") -> None:
        """Our half is complete."""
        self._put(stream, End(stream, trailer))
        if (state := self._streams.get(stream)) is not None:
            state.sending.ended = True

    def reset(self, stream: StreamId, code: ResetCode, reason: str = "") -> None:
        """End both halves at once and forget the stream.

        At the node nothing happens once its half has ended: the answer is on its way.
        """
        if (state := self._streams.get(stream)) is None or (state.sending.ended and not self.opens):
            return
        del self._streams[stream]
        if state.sending.sent or not self.opens:  # a node that never saw OPEN has nothing to reset
            self._urgent.append(Reset(stream, code, reason))

    def consumed(self, stream: StreamId, count: int) -> bool:
        """Give `count` bytes of credit back; True when that put a WINDOW into the queue."""
        if (state := self._streams.get(stream)) is None:
            return False
        receiving = state.receiving
        receiving.consumed = min(receiving.consumed + count, receiving.received)
        if receiving.consumed + self._window - receiving.limit < self._grant_bytes:
            return False
        self._grant(stream, receiving)
        return True

    # What the link does

    def receive(self, frame: Frame) -> Event | None:  # noqa: PLR0911 (a table of frames)
        """Apply one frame from the peer; None when nobody needs to know.

        Raises:
            ProtocolViolation: the peer broke the protocol; close the link.
        """
        stream = frame.stream
        state = self._streams.get(stream)
        if type(frame) is Data and state is not None:  # what comes most often, first
            state.receiving.take(frame)
            return frame
        if isinstance(frame, Open):
            return self._receive_open(frame)
        if state is None:
            if stream > self._newest or stream == 0:
                raise ProtocolViolation(f"stream {stream} was never opened")
            return None  # it crossed our reset, or the stream was over
        if type(frame) is Window:
            self._receive_window(stream, state, frame)
            return None
        if type(frame) is Reset:
            del self._streams[stream]
            if frame.code == ResetCode.NO_ERROR and state.sending.ended and not self.opens:
                return None  # the console has the whole answer, and lets go of its request's rest
            return ResetReceived(stream, frame.code, frame.reason)
        if type(frame) is Head:
            if not self.opens:
                raise ProtocolViolation("HEAD from the console")
            state.receiving.take(frame)
            return HeadReceived(stream, frame.head)
        assert type(frame) is End
        state.receiving.take(frame)
        self._after_end(stream, state)
        return EndReceived(stream, frame.trailer)

    def take(self, budget_bytes: int) -> list[Frame]:
        """What may be sent now: windows and resets first, then the streams in turn.

        `budget_bytes` may be overshot by one frame.
        """
        frames: list[Frame] = []
        if self._urgent or self._windows:
            budget_bytes = self._take_urgent(frames, budget_bytes)
        ready = self._ready
        while ready and budget_bytes > 0:
            stream = ready.popleft()
            if (state := self._streams.get(stream)) is None:
                continue
            sending = state.sending
            frames.append(following := sending.next_frame())
            budget_bytes -= _FRAME_OVERHEAD + len(following[1])
            if sending.queue and sending.is_sendable():
                ready.append(stream)
            else:
                state.is_ready = False
            if sending.waiting and sending.queued_bytes <= QUEUE_LOW_BYTES:
                sending.waiting = False
                self._allowed.append(stream)
        return frames

    def take_allowed(self) -> list[StreamId]:
        """Streams whose caller was asked to wait and may send again."""
        allowed, self._allowed = self._allowed, []
        return allowed

    @property
    def has_frames(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._urgent or self._windows or self._ready)

    @property
    def has_ready(self) -> bool:
        """Whether a stream has something to say, beside windows and resets."""
        return bool(self._ready)

    @property
    def is_exhausted(self) -> bool:
        """Whether no stream can be opened in this session any more."""
        return self._newest >= STREAM_ID_LIMIT

    @property
    def streams(self) -> Iterable[StreamId]:
        """Streams not yet over, those included that wait for their END to be acknowledged."""
        return self._streams.keys()

    def __len__(self) -> int:
        """How many streams are not over."""
        return len(self._streams)

    def is_open(self, stream: StreamId) -> bool:
        """Whether the stream is still known."""
        return stream in self._streams

    # What a resume does

    def received(self, stream: StreamId) -> int:
        """How much of the stream's incoming half has arrived, in units of offset."""
        return self._streams[stream].receiving.received

    def disconnect(self) -> None:
        """The link is gone: windows and resets that wait are void, all else waits on.

        What was reset is not named when the streams are settled, and that ends it at the peer.
        """
        self._urgent.clear()
        self._windows.clear()

    def check_offset(self, stream: StreamId, received: int) -> None:
        """Refuse an offset that `rewind` could not go back to; an unknown stream is not news.

        Raises:
            ProtocolViolation: the peer names an offset that cannot be.
        """
        if (state := self._streams.get(stream)) is not None:
            state.sending.check(received)

    def rewind(self, stream: StreamId, received: int) -> None:
        """Over a new link, send again from what the peer has, and say what we have.

        Raises:
            ProtocolViolation: the peer names an offset that cannot be.
        """
        state = self._streams[stream]
        state.sending.rewind(received)
        self._grant(stream, state.receiving)
        self._make_ready(stream, state)

    def forget(self, stream: StreamId) -> None:
        """The peer does not know the stream any more."""
        self._streams.pop(stream, None)

    # Inside

    def _put(self, stream: StreamId, frame: Ordered) -> None:
        if (state := self._streams.get(stream)) is None or state.sending.ended:
            return
        state.sending.put(frame)
        self._make_ready(stream, state)

    def _make_ready(self, stream: StreamId, state: _Stream) -> None:
        if not state.is_ready and state.sending.is_sendable():
            state.is_ready = True
            self._ready.append(stream)

    def _grant(self, stream: StreamId, receiving: Receiving) -> None:
        receiving.limit = receiving.consumed + self._window
        self._windows[stream] = None

    def _take_urgent(self, frames: list[Frame], budget_bytes: int) -> int:
        urgent, windows = self._urgent, self._windows
        while urgent and budget_bytes > 0:
            frames.append(frame := urgent.popleft())
            budget_bytes -= _URGENT_BYTES + (len(frame.reason) if type(frame) is Reset else 0)
        while windows and budget_bytes > 0:
            del windows[stream := next(iter(windows))]
            if (state := self._streams.get(stream)) is not None:
                frames.append(Window(stream, state.receiving.received, state.receiving.limit))
                budget_bytes -= _URGENT_BYTES
        return budget_bytes

    def _receive_open(self, frame: Open) -> Event | None:
        if self.opens:
            raise ProtocolViolation("OPEN from a node")
        if not self._newest < frame.stream <= STREAM_ID_LIMIT:
            raise ProtocolViolation(f"stream {frame.stream} opened out of order")
        if len(self._urgent) >= URGENT_LIMIT:
            raise ProtocolViolation("streams are opened, but their resets are not read")
        self._newest = frame.stream
        if len(self._streams) >= STREAMS_LIMIT:
            self._urgent.append(Reset(frame.stream, ResetCode.REFUSED, "too many streams"))
            return None
        self._streams[frame.stream] = state = _Stream(self._window)
        state.receiving.take(frame)
        return StreamOpened(frame.stream, frame.head)

    def _receive_window(self, stream: StreamId, state: _Stream, frame: Window) -> None:
        sending = state.sending
        if frame.limit > frame.received + self._window:
            raise ProtocolViolation(f"stream {stream}: a window larger than agreed")
        if frame.received > sending.acked:  # an older one is void: a WINDOW never takes back
            sending.acknowledge(frame.received)
        sending.limit = max(sending.limit, frame.limit)
        if sending.ended and not sending.queue and not sending.kept and not self.opens:
            del self._streams[stream]  # the console has it all: nothing is left to send again
            return
        self._make_ready(stream, state)

    def _after_end(self, stream: StreamId, state: _Stream) -> None:
        receiving = state.receiving
        if not self.opens:
            self._windows[stream] = None
            return
        # The answer is complete, so the stream is over: acknowledge it, and let go of a request
        # half that was never needed whole.
        self._urgent.append(Window(stream, receiving.received, receiving.limit))
        sending = state.sending
        if not sending.ended or sending.queue:
            self._urgent.append(Reset(stream, ResetCode.NO_ERROR))
        del self._streams[stream]

"""One stream's two halves: offsets, credit, and what is kept until the peer has it.

Offsets count from 0: OPEN, HEAD and END take one unit each and need no credit; DATA takes its
length and must end at or before the reader's `limit`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import Data, DataFlag, End, Head, Open
from byoi_wire.version import DATA_LIMIT_BYTES

if TYPE_CHECKING:
    from byoi_wire.ids import StreamId

Ordered = Open | Head | Data | End
"""Frames that keep their order within a stream; each carries its payload second."""


def units(frame: Ordered) -> int:
    """What a frame takes of its stream's offsets."""
    return len(frame.data) if type(frame) is Data else 1


def _unfinished(flags: int) -> int:
    """The flags of a piece that is not its message's last; a plain body has no messages."""
    return flags | DataFlag.MORE if flags else 0


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + DATA_LIMIT_BYTES] for at in range(0, len(data), DATA_LIMIT_BYTES)]


class Sending:
    """One stream's outgoing half: frames not yet sent, and sent ones not yet received."""

    __slots__ = ("acked", "ended", "kept", "limit", "queue", "queued_bytes", "sent", "waiting")

    def __init__(self, window: int) -> None:
        self.queue: deque[Ordered] = deque()
        self.kept: deque[Ordered] = deque()
        self.queued_bytes = 0
        self.acked = 0
        self.sent = 0
        self.limit = window
        self.ended = False
        self.waiting = False

    def put(self, frame: Ordered) -> None:
        """Queue a frame behind what waits already."""
        self.queue.append(frame)
        if type(frame) is Data:
            self.queued_bytes += len(frame.data)

    def put_data(self, stream: StreamId, data: bytes, flags: int) -> None:
        """Queue a piece of a body, cut once into what one frame may carry."""
        if len(data) > DATA_LIMIT_BYTES:
            *before, data = _pieces(data)
            for piece in before:
                self.put(Data(stream, piece, _unfinished(flags)))
        self.queue.append(Data(stream, data, flags))
        self.queued_bytes += len(data)

    def is_sendable(self) -> bool:
        """Whether the first frame that waits may go: credit bounds DATA alone."""
        if not self.queue:
            return False
        first = self.queue[0]
        return type(first) is not Data or self.limit > self.sent

    def next_frame(self) -> Ordered:
        """The next frame that credit allows; small neighbours of one stream travel as one."""
        frame = self.queue.popleft()
        if type(frame) is Data:
            if self.queue or len(frame.data) > self.limit - self.sent:
                frame = self._gather(frame)
            size = len(frame.data)
            self.queued_bytes -= size
            self.sent += size
        else:
            self.sent += 1
        self.kept.append(frame)
        return frame

    def _gather(self, frame: Data) -> Data:
        room = min(self.limit - self.sent, DATA_LIMIT_BYTES)
        queue = self.queue
        if len(frame.data) < room and queue and type(queue[0]) is Data and not frame.flags:
            parts, size = [frame.data], len(frame.data)
            while queue and type(follower := queue[0]) is Data and not follower.flags:
                if size + len(follower.data) > room:
                    break
                queue.popleft()
                parts.append(follower.data)
                size += len(follower.data)
            return Data(frame.stream, b"".join(parts))
        if len(frame.data) > room:
            queue.appendleft(Data(frame.stream, frame.data[room:], frame.flags))
            return Data(frame.stream, frame.data[:room], _unfinished(frame.flags))
        return frame

    def check(self, received: int) -> None:
        """Refuse an offset that the peer cannot have reached, or has been beyond already."""
        if not self.acked <= received <= self.sent:
            raise ProtocolViolation(
                f"offset {received} is not between {self.acked} (acknowledged) and {self.sent}"
            )

    def acknowledge(self, received: int) -> None:
        """Let go of what the peer has."""
        self.check(received)
        while self.kept and self.acked + units(self.kept[0]) <= received:
            self.acked += units(self.kept.popleft())
        if self.kept and received > self.acked:
            first = self.kept[0]
            assert type(first) is Data  # only DATA is longer than one unit
            self.kept[0] = Data(first.stream, first.data[received - self.acked :], first.flags)
            self.acked = received

    def rewind(self, received: int) -> None:
        """Send again from `received`: the link on which the rest went is gone."""
        self.acknowledge(received)
        for frame in reversed(self.kept):
            self.queue.appendleft(frame)
            if type(frame) is Data:
                self.queued_bytes += len(frame.data)
        self.kept.clear()
        self.sent = self.acked


class Receiving:
    """One stream's incoming half: how far it came, and how far the peer may go."""

    __slots__ = ("consumed", "ended", "limit", "opened", "received")

    def __init__(self, window: int) -> None:
        self.received = 0
        self.consumed = 0
        self.limit = window
        self.opened = False
        self.ended = False

    def take(self, frame: Ordered) -> None:
        """Account for one frame.

        Raises:
            ProtocolViolation: out of order, after the end, or beyond the credit.
        """
        if self.ended:
            raise ProtocolViolation(f"stream {frame.stream}: frame after its END")
        if type(frame) is Data:
            if not self.opened:
                raise ProtocolViolation(f"stream {frame.stream}: DATA before HEAD")
            if self.received + len(frame.data) > self.limit:
                raise ProtocolViolation(f"stream {frame.stream}: DATA beyond the credit")
            self.received += len(frame.data)
            return
        if isinstance(frame, End):
            if not self.opened:
                raise ProtocolViolation(f"stream {frame.stream}: END before HEAD")
            self.ended = True
        elif self.opened:
            raise ProtocolViolation(f"stream {frame.stream}: a second head")
        else:
            self.opened = True
        self.received += 1
        self.consumed += 1

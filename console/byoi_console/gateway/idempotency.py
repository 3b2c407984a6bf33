"""The same request again, by its `Idempotency-Key`: the same answer, made and billed once.

SDKs repeat requests by themselves. What was answered within a day is replayed; what is still being
answered is shared, so that the answer goes on as long as one of those who asked still waits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_wire.requests import RequestInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_console.errors import ConsoleError
    from byoi_console.gateway.exchange import Exchange, Header

KEY_LIMIT: Final = 255
KEEP_SECONDS: Final = 24 * 3600.0
TOTAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
ANSWER_LIMIT_BYTES: Final = 1024 * 1024
BEHIND_LIMIT_BYTES: Final = 256 * 1024
_ENTRY_BYTES: Final = 1024
_GOOD_BELOW: Final = 500
_OWN: Final = frozenset({b"x-request-id", b"openai-processing-ms"})
_REPLAYED: Final[Header] = (b"idempotent-replayed", b"true")


class Name(NamedTuple):
    """Whose key it is, and the key."""

    api_key_id: str
    key: str


def fingerprint(path: str, body: bytes) -> bytes:
    """What makes two requests the same."""
    return hashlib.sha256(path.encode() + b"\0" + body).digest()


class Recording:
    """Sole owner of one answer's pieces, which any number of exchanges read at their own pace.

    It is a `Client` to the relay. Beyond 1 MiB it forgets what all who read it have got, and can no
    longer be joined; who reads more than 256 KiB behind then holds the node back for all.
    """

    def __init__(self, fingerprint: bytes, started_at: float) -> None:
        self.fingerprint = fingerprint
        self.started_at = started_at
        self.size = _ENTRY_BYTES
        self.is_over = False
        self.is_good = False
        self.has_left = False
        self._status = 0
        self._headers: Sequence[Header] = ()
        self._length: int | None = None
        self._pieces: list[bytes] = []
        self._forgotten = 0
        self._readers: list[_Reader] = []
        self._error: ConsoleError | None = None
        self._left: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None

    def listen(self, *, left: Callable[[], None], writable: Callable[[], None]) -> None:
        """The relay wants to know when the last reader left, and when they take more."""
        self._left = left
        self._writable = writable
        if self.has_left:
            left()

    @property
    def can_be_joined(self) -> bool:
        """Whether one who comes now still gets the whole answer."""
        return not self._forgotten and not self.has_left and (self.is_good or not self.is_over)

    async def give(
        self, exchange: Exchange, own_headers: Sequence[Header], *, is_replay: bool
    ) -> None:
        """Let one more client have this answer from its beginning; returns when it has all of it.

        Raises:
            ConsoleError: nothing was answered; the client is to be told why.
        """
        await self.join(exchange, own_headers, is_replay=is_replay).wait()
        if self._error is not None and exchange.is_open and not exchange.has_begun:
            raise self._error

    def join(
        self, exchange: Exchange, own_headers: Sequence[Header], *, is_replay: bool
    ) -> asyncio.Event:
        """Add a reader; the event is set once it has all, has left, or there is nothing to have."""
        reader = _Reader(exchange, tuple(own_headers), is_replay)
        self._readers.append(reader)
        exchange.listen(left=lambda: self._leave(reader), writable=self._moved)
        self._pump(reader)
        return reader.done

    def fail(self, error: ConsoleError) -> None:
        """There is no answer; whoever still waits is told this."""
        self._error = error
        self.is_over = True
        for reader in self._readers:
            reader.done.set()
        self._readers.clear()

    # What the relay calls

    @property
    def is_writable(self) -> bool:
        """Whether any reader takes more and none is too far behind."""
        behind = [self._behind(reader) for reader in self._readers]
        return not behind or (min(behind) == 0 and max(behind) < BEHIND_LIMIT_BYTES)

    def begin(self, status: int, headers: Sequence[Header], length: int | None = None) -> None:
        """Start the answer for all."""
        self._status, self._headers, self._length = status, headers, length
        self._moved_all()

    def write(self, data: bytes) -> bool:
        """One more piece for all; False: none takes more, or one is too far behind."""
        self._pieces.append(data)
        self.size += len(data)
        self._moved_all()
        if self.size > ANSWER_LIMIT_BYTES:
            self._forget()
        return self.is_writable

    def finish(self, *, is_good: bool = True) -> None:
        """The answer is whole, or ended with an error and must not be repeated."""
        self.is_over = True
        self.is_good = is_good and self._status < _GOOD_BELOW
        self._moved_all()

    def note_waiting(self, count: int) -> None:
        """Told to every reader, the slow one among them."""
        for reader in self._readers:
            reader.exchange.note_waiting(count + self._behind(reader))

    # Inside

    def _leave(self, reader: _Reader) -> None:
        self._drop(reader)
        if self.is_over:
            return
        if self._readers:
            self._tell_writable()
            return
        self.has_left = True
        if self._left is not None:
            self._left()

    def _moved(self) -> None:
        self._moved_all()
        self._tell_writable()

    def _tell_writable(self) -> None:
        if self._writable is not None and self.is_writable:
            self._writable()

    def _moved_all(self) -> None:
        for reader in tuple(self._readers):
            self._pump(reader)

    def _pump(self, reader: _Reader) -> None:
        exchange = reader.exchange
        if not self._status or not exchange.is_open:
            return
        if not exchange.has_begun:
            exchange.begin(self._status, self._headers_for(reader), self._length)
        while reader.position - self._forgotten < len(self._pieces) and exchange.is_writable:
            piece = self._pieces[reader.position - self._forgotten]
            reader.position += 1
            exchange.write(piece)
        if self.is_over and reader.position - self._forgotten == len(self._pieces):
            self._drop(reader)
            exchange.finish()

    def _drop(self, reader: _Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
        reader.done.set()

    def _headers_for(self, reader: _Reader) -> Sequence[Header]:
        if not reader.is_replay:
            return self._headers
        shared = [header for header in self._headers if header[0] not in _OWN]
        return (*reader.headers, *shared, _REPLAYED)

    def _behind(self, reader: _Reader) -> int:
        if not reader.exchange.is_writable and reader.position - self._forgotten == len(
            self._pieces
        ):
            return 1  # all given, but its connection is full
        return sum(map(len, self._pieces[reader.position - self._forgotten :]))

    def _forget(self) -> None:
        slowest = min(
            (reader.position for reader in self._readers),
            default=self._forgotten + len(self._pieces),
        )
        count = slowest - self._forgotten
        if count:
            del self._pieces[:count]
            self._forgotten = slowest


class _Reader:
    """One exchange's place in a recording."""

    __slots__ = ("done", "exchange", "headers", "is_replay", "position")

    def __init__(self, exchange: Exchange, headers: tuple[Header, ...], is_replay: bool) -> None:
        self.exchange = exchange
        self.headers = headers
        self.is_replay = is_replay
        self.position = 0
        self.done = asyncio.Event()


class Recordings:
    """Sole owner of the answers that may be asked for again; the longest unused go first.

    Holds at most 64 MiB in all. What is evicted, or failed, is made anew when asked for again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[Name, Recording] = OrderedDict()
        self._counted: dict[Name, int] = {}
        self._total = 0

    def find(self, name: Name, wanted: bytes) -> Recording | None:
        """The recording of this request, whole or still being made; None: make it.

        Raises:
            RequestInvalid: the key was used for another request.
        """
        if len(name.key) > KEY_LIMIT or not name.key.isprintable():
            raise RequestInvalid(
                f"Idempotency-Key must be at most {KEY_LIMIT} printable characters.",
                code="invalid_idempotency_key",
            )
        found = self._kept.get(name)
        if found is None:
            return None
        if self._clock() - found.started_at > KEEP_SECONDS or not found.can_be_joined:
            self._drop(name)
            return None
        if found.fingerprint != wanted:
            raise RequestInvalid(
                "This Idempotency-Key was used for a different request before.",
                code="idempotency_key_reused",
            )
        self._kept.move_to_end(name)
        return found

    def start(self, name: Name, wanted: bytes) -> Recording:
        """Begin a recording under this name."""
        recording = Recording(wanted, self._clock())
        self._kept[name] = recording
        self._count(name, recording.size)
        return recording

    def ended(self, name: Name, recording: Recording) -> None:
        """Its answer is over: keep it if it may be repeated."""
        if self._kept.get(name) is not recording:
            return
        if recording.can_be_joined:
            self._count(name, recording.size)
        else:
            self._drop(name)

    def _count(self, name: Name, size: int) -> None:
        self._total += size - self._counted.get(name, 0)
        self._counted[name] = size
        while self._total > TOTAL_LIMIT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: Name) -> None:
        del self._kept[name]
        self._total -= self._counted.pop(name)

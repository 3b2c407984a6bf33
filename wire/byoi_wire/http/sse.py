"""Server-sent events as bytes: whole events are cut out of a stream and otherwise left untouched.

An event ends with a blank line, its lines with LF or CR LF; a lone CR ends nothing, since no engine
writes it so. Blank lines in excess belong to no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_wire.errors import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_LIMIT_BYTES: Final = 1024 * 1024
_OVERLAP: Final = 2  # of a blank line's three bytes, those that may have come in an earlier piece


class EventSplitter:
    """Sole owner of the torn rest of one stream of events."""

    def __init__(self, limit: int = EVENT_LIMIT_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an event waits for its rest."""
        return not self._parts

    @property
    def torn(self) -> bytes:
        """What has come of an event that is not whole yet."""
        return b"".join(self._parts)

    def feed(self, data: bytes) -> bytes:
        """All events that are whole by now; usually `data` itself, uncopied.

        Raises:
            ProtocolViolation: an event is larger than the limit.
        """
        if not self._parts and data.endswith(b"\n\n") and len(data) <= self._limit:
            return data
        cut = _last_end(self._tail + data) - len(self._tail)
        if cut <= 0:
            self._keep(data)
            return b""
        whole = b"".join([*self._parts, data[:cut]]) if self._parts else data[:cut]
        if len(whole) > self._limit and any(len(event) > self._limit for event in events(whole)):
            raise ProtocolViolation("an event is too large", close_code=1009)
        self._parts, self._size, self._tail = [], 0, b""
        self._keep(data[cut:])
        return whole

    def _keep(self, rest: bytes) -> None:
        if not rest:
            return
        self._parts.append(rest)
        self._size += len(rest)
        self._tail = (self._tail + rest)[-_OVERLAP:]
        if self._size > self._limit:
            raise ProtocolViolation("an event is too large", close_code=1009)


def events(block: bytes) -> Iterator[bytes]:
    """The whole events of a block, one by one, each with its blank line."""
    start, end = 0, len(block)
    while start < end:
        while start < end and block[start] in b"\r\n":
            start += 1
        stop = _first_end(block, start)
        if stop <= start:
            return
        yield block[start:stop]
        start = stop


def data_of(event: bytes) -> bytes:
    """An event's data: its `data:` lines without the field's name, joined by LF."""
    lines = []
    for line in event.split(b"\n"):
        name, _, value = line.removesuffix(b"\r").partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)


def _last_end(block: bytes) -> int:
    """Where the last blank line of a block ends, 0 if there is none."""
    lf, crlf = block.rfind(b"\n\n"), block.rfind(b"\n\r\n")
    return max(lf + 2 if lf >= 0 else 0, crlf + 3 if crlf >= 0 else 0)


def _first_end(block: bytes, start: int) -> int:
    """Where the first blank line from `start` ends, 0 if there is none."""
    lf = block.find(b"\n\n", start)
    crlf = block.find(b"\n\r\n", start, lf + 1 if lf >= 0 else len(block))
    if crlf >= 0:
        return crlf + 3
    return lf + 2 if lf >= 0 else 0

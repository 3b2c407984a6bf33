"""One request and its answer on a client's connection: the half that a handler sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from byoi_console.gateway.http1 import Request

Header = tuple[bytes, bytes]

_REASONS: Final = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    303: b"See Other",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
_WITHOUT_BODY: Final = frozenset({204, 304})


class Line(Protocol):
    """The connection as an exchange sees it.

    Attributes:
        is_writable: whether the client takes what is written.
    """

    is_writable: bool

    def write(self, data: bytes) -> None:
        """Put bytes on the connection; they are buffered beyond what is writable."""

    def exchange_ended(self, *, keeps_alive: bool) -> None:
        """The answer is written whole."""

    def abort(self) -> None:
        """Break the connection off."""


class Exchange:
    """Sole owner of one answer's place on the connection; writes after the client left go nowhere.

    A handler calls `begin`, `write` and `finish`, and may `listen` to the client. The head leaves
    together with the first piece of the body.

    Attributes:
        peer: the address that the request came from.
        scheme: what a trusted proxy says that it was called with; None: no proxy said anything.
        status: what was answered; 0 before.
        is_good: whether nothing has gone wrong in the middle of the answer.
    """

    __slots__ = (
        "_has_body",
        "_is_chunked",
        "_left",
        "_line",
        "_owed",
        "_pending",
        "_waiting_bytes",
        "_writable",
        "has_begun",
        "has_left",
        "is_event_stream",
        "is_good",
        "is_over",
        "peer",
        "request",
        "scheme",
        "status",
    )

    def __init__(self, line: Line, request: Request, peer: str, scheme: str | None = None) -> None:
        self.request = request
        self.peer = peer
        self.scheme = scheme
        self.status = 0
        self.has_begun = False
        self.has_left = False
        self.is_over = False
        self.is_event_stream = False
        self.is_good = True
        self._line = line
        self._pending = b""
        self._is_chunked = False
        self._has_body = request.method != "HEAD"
        self._owed: int | None = None
        self._waiting_bytes = 0
        self._left: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None

    def listen(self, *, left: Callable[[], None], writable: Callable[[], None]) -> None:
        """Be told, within the event's own loop turn, that the client left or takes more."""
        self._left = left
        self._writable = writable
        if self.has_left:
            left()

    @property
    def is_writable(self) -> bool:
        """False once the client's connection is full; wait for `writable` then."""
        return self._line.is_writable

    @property
    def waiting_bytes(self) -> int:
        """What the handler keeps back until the client takes more."""
        return self._waiting_bytes

    def note_waiting(self, count: int) -> None:
        """Tell how much is kept back, so that a client which never reads can be cut."""
        self._waiting_bytes = count

    @property
    def is_open(self) -> bool:
        """Whether anybody still waits for this answer."""
        return not (self.has_left or self.is_over)

    def begin(self, status: int, headers: Iterable[Header], length: int | None = None) -> None:
        """Start the answer; without a `length` its body is chunked, or ends with the connection."""
        assert not self.has_begun
        self.has_begun = True
        self.status = status
        may_have_body = status not in _WITHOUT_BODY
        self._is_chunked = length is None and may_have_body and not self.request.is_http10
        self._has_body = may_have_body and self.request.method != "HEAD"
        self._owed = length if self._has_body else None
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))]
        for name, value in headers:
            lines.append(_header(name, value))
            if name == b"content-type" and value.startswith(b"text/event-stream"):
                self.is_event_stream = True
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        elif length is not None and may_have_body:
            lines.append(b"content-length: %d\r\n" % length)
        if not self._keeps_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._pending = b"".join(lines)

    def write(self, data: bytes) -> bool:
        """Send a piece of the body; False: the client's connection is full."""
        if not data or self.has_left or self.is_over or not self._has_body:
            return True
        if self._owed is not None:
            assert len(data) <= self._owed, "a body longer than its content-length"
            self._owed -= len(data)
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._pending:
            data, self._pending = self._pending + data, b""
        self._line.write(data)
        return self._line.is_writable

    def flush(self) -> None:
        """Send the head alone, where the body may take its time."""
        pending, self._pending = self._pending, b""
        if pending and self.is_open:
            self._line.write(pending)

    def finish(self, *, is_good: bool = True) -> None:
        """The body is whole, whether it is an answer or ends with an error."""
        if not self.is_open:
            return
        self.is_good = is_good
        end = b"0\r\n\r\n" if self._is_chunked and self._has_body else b""
        data, self._pending = self._pending + end, b""
        if data:
            self._line.write(data)
        if self.is_open:
            self.is_over = True
            self._line.exchange_ended(keeps_alive=self._keeps_alive and not self._owed)

    def answer(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole answer."""
        self.begin(status, headers, len(body))
        self.write(body)
        self.finish()

    def abort(self) -> None:
        """Break the connection: what was begun cannot be ended properly."""
        if self.is_open:
            self._line.abort()

    # What the connection calls

    def probe(self) -> None:
        """Write a little that means nothing, so that a client which is gone shows itself.

        Before the head that is an interim `100 Continue`, which every HTTP/1.1 client reads over;
        on an event stream a comment.
        """
        if not self.has_begun and not self.request.is_http10:
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif self.is_event_stream and not self._pending:
            self.write(b":\n\n")

    def client_left(self) -> None:
        """The connection is gone."""
        if self.is_open:
            self.has_left = True
            if self._left is not None:
                self._left()

    def became_writable(self) -> None:
        """The connection takes more."""
        if self._writable is not None and self.is_open:
            self._writable()

    @property
    def _keeps_alive(self) -> bool:
        # HTTP/1.0 clients ask for keep-alive in ways that few need any more: they get one answer.
        return self.request.keeps_alive and not self.request.is_http10


def _header(name: bytes, value: bytes) -> bytes:
    if b"\r" in value or b"\n" in value or b"\0" in value:
        raise ValueError("a header's value must be one line")
    return b"%b: %b\r\n" % (name, value)

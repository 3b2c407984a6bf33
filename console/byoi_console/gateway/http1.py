"""HTTP/1.1 requests out of bytes, within limits; no sockets and no clock in here.

The head is cut out by its blank line and parsed by httptools, which is strict (RFC 9112: no bare
LF, no space before a colon, never both lengths). Bodies are read here, since what follows a body
on the same connection has to stay where it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_to_bytes

import httptools

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD_LIMIT_BYTES: Final = 16 * 1024
BODY_LIMIT_BYTES: Final = 8 * 1024 * 1024
CHUNKS_LIMIT: Final = 64 * 1024
"""Chunks of one body; a chunk of a byte costs as much to read as one of a page."""

_CHUNK_LINE_LIMIT: Final = 256
_TRAILER_LIMIT_BYTES: Final = 4 * 1024
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\0]*)?")
_HEAD_END: Final = b"\r\n\r\n"

Phase = Literal["idle", "head", "body"]


class RequestBroken(Exception):
    """The bytes are no request that can be answered; answer with `status` and close.

    Attributes:
        status: 400, 413, 417, 431 or 501.
        message: what is wrong, for the person at the other end.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Request:
    """One request, whole. Header names are lower case, values as they came.

    `head` is the head's exact bytes, for a door that does its own parsing.
    """

    __slots__ = ("body", "head", "headers", "is_http10", "keeps_alive", "method", "query", "target")

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.method = ""
        self.target = b""
        self.query = b""
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.body = b""
        self.keeps_alive = False
        self.is_http10 = False

    @property
    def path(self) -> str:
        """The path with its escapes undone; bytes that are no UTF-8 show as U+FFFD."""
        return unquote_to_bytes(self.target).decode(errors="replace")

    def header(self, name: bytes) -> str | None:
        """The first value of a header (`name` in lower case); latin-1, so that nothing can fail."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


class RequestParser:
    """Sole owner of one connection's unread bytes: `feed` them, then take requests until None."""

    __slots__ = ("_body", "_buffer", "_request", "awaits_continue")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._request: Request | None = None
        self._body: _SizedBody | _ChunkedBody | None = None
        self.awaits_continue = False

    @property
    def phase(self) -> Phase:
        """What the next bytes belong to."""
        if self._request is not None:
            return "body"
        return "head" if self._buffer else "idle"

    @property
    def unread(self) -> int:
        """Bytes that wait for their turn or for the rest of their request."""
        return len(self._buffer) + (0 if self._body is None else self._body.held)

    def feed(self, data: bytes) -> None:
        """Take what came from the client."""
        self._buffer += data

    def rest(self) -> bytes:
        """Give up the unread bytes, for whoever takes the connection over."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_request(self) -> Request | None:
        """The next whole request, None if more bytes are needed.

        Raises:
            RequestBroken: answer it and close the connection.
        """
        if self._request is None and not self._read_head():
            return None
        assert self._request is not None
        assert self._body is not None
        body = self._body.take(self._buffer)
        if body is None:
            return None
        request, self._request, self._body = self._request, None, None
        request.body = body
        self.awaits_continue = False
        return request

    def _read_head(self) -> bool:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":  # RFC 9112, 2.2: a client may send some before a request
            del buffer[:2]
        end = buffer.find(_HEAD_END, 0, HEAD_LIMIT_BYTES)
        if end < 0:
            _check_unfinished_head(buffer)
            return False
        head = bytes(buffer[: end + len(_HEAD_END)])
        del buffer[: len(head)]
        self._request = _HeadReader(head).request
        self._body = _body_of(self._request)
        expectation = self._request.header(b"expect")
        if expectation is not None and expectation.lower() != "100-continue":
            raise RequestBroken(417, "Only 100-continue can be expected.")
        self.awaits_continue = expectation is not None
        return True


def _check_unfinished_head(buffer: bytearray) -> None:
    if len(buffer) >= HEAD_LIMIT_BYTES:
        raise RequestBroken(431, f"The header block is larger than {HEAD_LIMIT_BYTES} bytes.")
    if buffer and not buffer[:1].isupper() and buffer != b"\r":
        raise RequestBroken(400, "This is not HTTP/1.1.")
    if b"\n\n" in buffer:
        raise RequestBroken(400, "Lines of a header block end with CR LF.")


class _HeadReader:
    """Callbacks for httptools over one head."""

    def __init__(self, head: bytes) -> None:
        self.request = Request(head)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._keeps_alive = False
        self._parser = parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # whether to switch is for the front to say; a request it is in any case
        except httptools.HttpParserError as error:
            raise RequestBroken(400, f"Malformed HTTP request: {error}.") from error
        version = parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise RequestBroken(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        request = self.request
        request.method = parser.get_method().decode()
        request.is_http10 = version == "1.0"
        request.keeps_alive = self._keeps_alive
        request.headers = self._headers
        request.target, request.query = _split_target(self._url)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        # Later than this, for a request without a body, llhttp has forgotten `Connection`.
        self._keeps_alive = self._parser.should_keep_alive()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))


def _split_target(url: bytes) -> tuple[bytes, bytes]:
    if url.startswith(b"/"):
        path, _, query = url.partition(b"?")
        return path, query
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError as error:
        raise RequestBroken(400, "The request target is not a path or a URL.") from error
    return parsed.path or b"/", parsed.query or b""


def _body_of(request: Request) -> _SizedBody | _ChunkedBody:
    coding = request.header(b"transfer-encoding")
    if coding is None:
        length = request.header(b"content-length")
        return _SizedBody(0 if length is None else int(length))
    if coding.lower() != "chunked" or request.is_http10:
        raise RequestBroken(501, "The only transfer coding taken is chunked.")
    return _ChunkedBody()


def _too_large() -> RequestBroken:
    return RequestBroken(413, f"The request's body is larger than {BODY_LIMIT_BYTES} bytes.")


class _SizedBody:
    __slots__ = ("_length",)

    held = 0  # it stays in the buffer until it is whole

    def __init__(self, length: int) -> None:
        if length > BODY_LIMIT_BYTES:
            raise _too_large()
        self._length = length

    def take(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < self._length:
            return None
        body = bytes(buffer[: self._length])
        del buffer[: self._length]
        return body


class _ChunkedBody:
    """RFC 9112, 7.1; extensions and trailers are read over."""

    __slots__ = ("_chunks", "_is_last", "_left", "_parts", "_size", "_trailer")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._chunks = 0
        self._size = 0
        self._left: int | None = None  # of the chunk being read; None: its size comes next
        self._is_last = False
        self._trailer = 0

    @property
    def held(self) -> int:
        """Bytes taken out of the buffer so far, that of the chunk being read included."""
        return self._size

    def take(self, buffer: bytearray) -> bytes | None:
        while not self._is_last:
            if not (self._take_size(buffer) if self._left is None else self._take_data(buffer)):
                return None
        return b"".join(self._parts) if self._take_trailer(buffer) else None

    def _take_size(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n", 0, _CHUNK_LINE_LIMIT)
        if end < 0:
            if len(buffer) >= _CHUNK_LINE_LIMIT:
                raise RequestBroken(400, "A chunk's first line is too long.")
            return False
        line = _CHUNK_LINE.fullmatch(buffer[:end])
        if line is None:
            raise RequestBroken(400, "A chunk's size is malformed.")
        del buffer[: end + 2]
        self._left = int(line[1], 16)
        self._size += self._left
        self._chunks += 1
        if self._size > BODY_LIMIT_BYTES or self._chunks > CHUNKS_LIMIT:
            raise _too_large()
        self._is_last = self._left == 0
        return True

    def _take_data(self, buffer: bytearray) -> bool:
        assert self._left is not None
        if len(buffer) < self._left + 2:
            return False
        if buffer[self._left : self._left + 2] != b"\r\n":
            raise RequestBroken(400, "A chunk is longer than it said.")
        self._parts.append(bytes(buffer[: self._left]))
        del buffer[: self._left + 2]
        self._left = None
        return True

    def _take_trailer(self, buffer: bytearray) -> bool:
        while (end := buffer.find(b"\r\n")) >= 0:
            del buffer[: end + 2]
            self._trailer += end + 2
            if end == 0:
                return True
        if self._trailer + len(buffer) > _TRAILER_LIMIT_BYTES:
            raise RequestBroken(431, "The trailer is too large.")
        return False

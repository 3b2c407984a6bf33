"""HTTP/1.1 from the client's side without any I/O: request bytes out, answer bytes in.

httptools (llhttp, strict) reads the syntax; what it leaves to its caller is decided here: limits,
informational answers, and where an answer ends. Chunks that come whole and plain, as engines write
them one per event, never get that far: they are cut out here at a third of the cost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

import httptools

from byoi_wire.errors import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LIMIT_BYTES: Final = 64 * 1024
"""All heads of one answer together; also the most that may pass in a body without any content."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CHUNK_LINE: Final = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,6})\r\n")  # never the last one's
_FINAL: Final = 200  # lower ones are informational: the answer is still to come
_BODILESS: Final = (204, 304)


class ResponseHandler(Protocol):
    """What an answer turns into; called from `feed`, must not raise."""

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:
        """The final answer's status and headers, names in lower case."""
        ...

    def body_received(self, data: bytes) -> None:
        """A piece of the body, its transfer coding taken off."""
        ...

    def body_ended(self) -> None:
        """The answer is complete by its own framing."""
        ...


def encode_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """One request's bytes; `content-length` is added.

    Raises:
        ValueError: a part would break out of its place in the head.
    """
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError("not a request line")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a header: {name!r}")
        lines.append(f"{name}: {value}")
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1") + body


class ResponseParser:
    """Sole owner of one answer's reading state; one instance per request.

    Attributes:
        started: whether any byte of the answer has come.
        complete: whether `body_ended` was called.
        keep_alive: once complete, whether the connection may carry another request.
    """

    def __init__(self, handler: ResponseHandler, *, head_limit: int = HEAD_LIMIT_BYTES) -> None:
        self.started = False
        self.complete = False
        self.keep_alive = False
        self._handler = handler
        self._limit = head_limit
        self._silent = 0  # bytes since the start, or since the last content of a body
        self._in_head = True
        self._until_eof = False
        self._stopped = False
        self._is_chunk_next = False  # all that was read ended with the head or with a chunk
        self._headers: dict[str, str] = {}
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read on; calls the handler.

        Raises:
            ProtocolViolation: no HTTP, over a limit, or bytes beyond the answer's end; close the
                connection. The answer itself stays good where `complete` says so.
        """
        if self._stopped:
            return
        if self._is_chunk_next and not (data := self._after_whole_chunks(data)):
            return
        self.started = True
        while self._in_head and len(data) > (room := self._limit - self._silent):
            # Cut exactly at the limit, so that it does not depend on how the bytes were split.
            self._read(data[:room])
            data = data[room:]
            if self._in_head:
                raise ProtocolViolation("the head of the answer is too large")
        if data:
            self._read(data)

    def feed_eof(self) -> None:
        """The connection has ended.

        Raises:
            ProtocolViolation: in the middle of an answer.
        """
        if self._until_eof and not self.complete:
            self._finish(keep_alive=False)
        if not self.complete and not self._stopped:
            raise ProtocolViolation("the connection ended in the middle of the answer")

    def stop(self) -> None:
        """Call the handler no more, whatever still comes."""
        self._stopped = True

    def _after_whole_chunks(self, data: bytes) -> bytes:
        """Pass on the chunks that are whole; what is left is for llhttp, which saw none of them."""
        at, end = 0, len(data)
        while line := _CHUNK_LINE.match(data, at):
            start = line.end()
            stop = start + int(line[1], 16)
            if stop + 2 > end or not data.startswith(b"\r\n", stop):
                break
            at = stop + 2
            self._silent = 0
            self._handler.body_received(data[start:stop])
            if self._stopped:
                return b""
        return data[at:]

    def _read(self, data: bytes) -> None:
        if self.complete:
            raise ProtocolViolation("bytes after the end of the answer")
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, ProtocolViolation):
                raise error.__context__ from None
            raise
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ProtocolViolation(f"not an HTTP answer: {error}") from error
        # A chunk's size that is torn makes no callback, but does not end like this either.
        self._is_chunk_next = self._is_chunk_next and data.endswith(b"\r\n")
        if not self._in_head and not self.complete and self._silent > self._limit:
            raise ProtocolViolation("the body's framing is too large")

    def _finish(self, *, keep_alive: bool) -> None:
        self.complete = True
        self._is_chunk_next = False
        self.keep_alive = keep_alive
        if not self._stopped:
            self._handler.body_ended()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Raises: ProtocolViolation if a second answer follows the first."""
        if self.complete:
            raise ProtocolViolation("bytes after the end of the answer")
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Repeated headers are joined; trailers are dropped."""
        if self._in_head:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Decide how the body is framed, as llhttp will not complete one that ends with EOF."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            return
        coding, has_length = (
            self._headers.get("transfer-encoding"),
            "content-length" in self._headers,
        )
        if coding is not None and (coding.lower() != "chunked" or has_length):
            raise ProtocolViolation("an ambiguous body")
        self._in_head = False
        self._silent = 0
        self._is_chunk_next = coding is not None
        self._until_eof = coding is None and not has_length and status not in _BODILESS
        if not self._stopped:
            self._handler.head_received(status, self._headers)

    def on_body(self, body: bytes) -> None:
        """Pass it on untouched."""
        self._silent = 0
        if not self._stopped:
            self._handler.body_received(body)

    def on_chunk_header(self) -> None:
        """In the middle of a chunk, or behind the last one."""
        self._is_chunk_next = False

    def on_chunk_complete(self) -> None:
        """Between two chunks."""
        self._is_chunk_next = not self.complete

    def on_message_complete(self) -> None:
        """Ends a final answer; an informational one only makes room for the next."""
        if not self._in_head:
            self._finish(keep_alive=self._parser.should_keep_alive())

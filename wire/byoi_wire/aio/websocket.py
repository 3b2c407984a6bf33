"""A channel over `websockets`' sans-IO protocol: no compression, no task, no copy of a message.

The library's own asyncio connection wakes a task per message and keeps a queue between the two;
here a message goes from the parser straight to its receiver.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    ProxyError,
)
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from byoi_wire.aio.channel import FULL_BYTES
from byoi_wire.version import MESSAGE_LIMIT_BYTES, PROTOCOL_VERSION

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from websockets.client import ClientProtocol
    from websockets.http11 import Request
    from websockets.protocol import Event

    from byoi_wire.aio.channel import Receiver

_CLOSE_SECONDS: Final = 2.0
"""How long a close may wait for the peer's before the transport is dropped."""

_REASON_BYTES: Final = 120
"""Of a close frame's reason; RFC 6455 allows 123."""

_UNREAD_LIMIT_BYTES: Final = 1024 * 1024
"""A peer that leaves so much unread, control messages and pongs included, is given up."""

_ABNORMAL: Final = 1006


class DialRefused(ConnectionError):
    """The address answered, but not with a `byoi.v1` websocket.

    Attributes:
        status: the HTTP status it gave, if it spoke HTTP at all.
        retry_after: its `Retry-After` header, if any.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class WebSocketChannel(asyncio.Protocol):
    """Sole owner of one websocket and its transport."""

    def __init__(self, protocol: ClientProtocol | ServerProtocol) -> None:
        self._protocol = protocol
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._early: deque[bytes | str] = deque()
        self._fragments = bytearray()
        self._fragment_opcode = Opcode.BINARY
        self._closing: asyncio.TimerHandle | None = None
        self._closed: tuple[int, str] | None = None

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there, the opening handshake already behind us or still to come."""
        # uvloop's transports are none of asyncio's classes, so this cannot be an isinstance check.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=FULL_BYTES)

    def data_received(self, data: bytes) -> None:
        """Parse, answer what the websocket protocol itself answers, pass messages on."""
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._write()
        for event in events:
            self.event_received(event)
        if self._protocol.close_expected():
            self._close_soon()

    def eof_received(self) -> bool:
        """The peer will not send again; a websocket has no half-closed state."""
        self._protocol.receive_eof()
        self._write()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """The transport is gone."""
        self._protocol.receive_eof()
        if self._closing is not None:
            self._closing.cancel()
        if self._closed is not None:
            return
        self._closed = (self._protocol.close_code or _ABNORMAL, self._protocol.close_reason or "")
        if self._receiver is not None:
            self._receiver.channel_closed(*self._closed)

    def pause_writing(self) -> None:
        """The transport's buffer is full; `buffered_bytes` says so to the sender."""

    def resume_writing(self) -> None:
        """Room again."""
        if self._receiver is not None:
            self._receiver.channel_writable()

    # What the link calls

    def attach(self, receiver: Receiver) -> None:
        """Hear from now on, and what came before anyone listened."""
        self._receiver = receiver
        while self._early and self._receiver is receiver:
            receiver.message_received(self._early.popleft())
        self.resume()
        if self._closed is not None:
            receiver.channel_closed(*self._closed)

    def pause(self) -> None:
        """Read nothing more for now; what has been read already still comes."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def send(self, message: bytes | str) -> None:
        """Frame a message and hand it to the transport; nothing where the channel is closing."""
        if self._closed is not None or self._closing is not None:
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._write()

    @property
    def buffered_bytes(self) -> int:
        """What the transport holds back."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; drop the transport if the peer does not answer in time."""
        if self._closed is not None or self._closing is not None:
            return
        self._protocol.fail(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))
        self._write()
        self.resume()  # what comes is dropped, but the peer's end must be noticed
        self._close_soon()

    def abort(self) -> None:
        """Drop the transport at once."""
        if self._transport is not None:
            self._transport.abort()

    def event_received(self, event: Event) -> None:
        """One frame or, at the server's door, the request."""
        if not isinstance(event, Frame):
            return
        if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
            if event.fin:
                self._deliver(event.opcode, bytes(event.data))
            else:
                self._fragment_opcode = event.opcode
                self._fragments += event.data
        elif event.opcode is Opcode.CONT:
            self._fragments += event.data
            if event.fin:
                message, self._fragments = bytes(self._fragments), bytearray()
                self._deliver(self._fragment_opcode, message)

    # Inside

    def _deliver(self, opcode: Opcode, data: bytes) -> None:
        message: bytes | str = data
        if opcode is Opcode.TEXT:
            try:
                message = data.decode()
            except UnicodeDecodeError:
                self.close(1007, "text that is not UTF-8")
                return
        if self._receiver is None:
            self._early.append(message)
            self.pause()
        else:
            self._receiver.message_received(message)

    def _write(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:  # TLS has no half-closed state
                self._transport.close()
        if self._transport.get_write_buffer_size() > _UNREAD_LIMIT_BYTES:
            self._transport.abort()

    def _close_soon(self) -> None:
        if self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(_CLOSE_SECONDS, self.abort)


class _Dialled(ClientConnection):
    """The library's connection for as long as dialling lasts; keeps what came early."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (the library's own)
        super().__init__(*args, **kwargs)
        self.early: list[Event] = []

    def process_event(self, event: Event) -> None:
        if self.response is None:
            super().process_event(event)
        else:
            self.early.append(event)


class _Dial(connect):
    """Never follows a redirect: the proof that comes next is for one origin only."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(
    url: str, *, tls: ssl.SSLContext | None, user_agent: str, timeout_seconds: float
) -> WebSocketChannel:
    """Open a websocket to `url`, through the environment's proxy where it names one.

    Raises:
        DialRefused: something answered that is no console, or a proxy refused.
        OSError: nothing answered (TimeoutError, name not found, refused, TLS …).
    """
    is_secure = url.startswith("wss:")
    arguments: dict[str, Any] = {"ssl": tls} if is_secure and tls is not None else {}
    opening = _Dial(
        url,
        subprotocols=[Subprotocol(PROTOCOL_VERSION)],
        compression=None,
        user_agent_header=user_agent,
        open_timeout=timeout_seconds,
        ping_interval=None,
        max_size=MESSAGE_LIMIT_BYTES,
        create_connection=_Dialled,
        **arguments,
    )
    try:
        connection = await opening
    except InvalidStatus as error:
        headers = error.response.headers
        status = error.response.status_code
        raise DialRefused(
            f"answered with HTTP {status}", status, headers.get("Retry-After")
        ) from error
    except (InvalidHandshake, InvalidMessage, InvalidProxy, ProxyError) as error:
        raise DialRefused(f"no byoi console: {error}") from error
    except ImportError as error:  # the library's way to say that it has no SOCKS
        raise DialRefused(f"the environment's proxy cannot be used: {error}") from error
    assert isinstance(connection, _Dialled)
    if connection.protocol.subprotocol != PROTOCOL_VERSION:
        connection.transport.abort()
        raise DialRefused(f"a websocket, but not {PROTOCOL_VERSION}")
    channel = WebSocketChannel(connection.protocol)
    channel.connection_made(connection.transport)
    connection.transport.set_protocol(channel)
    for event in connection.early:
        channel.event_received(event)
    if connection.connection_lost_waiter.done():
        channel.connection_lost(None)
    return channel


class _Door(WebSocketChannel):
    """A server's end whose opening request is still in its bytes."""

    def __init__(self, protocol: ServerProtocol) -> None:
        super().__init__(protocol)
        self._server = protocol
        self.accepted = False

    def event_received(self, event: Event) -> None:
        if isinstance(event, Frame):
            super().event_received(event)
        else:
            self._answer(event)  # type: ignore[arg-type]  # a server's only other event: Request

    def _answer(self, request: Request) -> None:
        response = self._server.accept(request)
        if (
            response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
            and self._server.subprotocol != PROTOCOL_VERSION
        ):
            response = self._server.reject(400, f"this door speaks {PROTOCOL_VERSION} only\n")
        self._server.send_response(response)
        self.accepted = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        self._write()


def accept(transport: asyncio.Transport, head: bytes) -> WebSocketChannel | None:
    """Take over a transport whose first bytes are a websocket upgrade.

    Returns None where the request was no proper upgrade; it has then been answered.
    """
    protocol = ServerProtocol(
        subprotocols=[Subprotocol(PROTOCOL_VERSION)],
        select_subprotocol=_select,
        max_size=MESSAGE_LIMIT_BYTES,
    )
    door = _Door(protocol)
    transport.set_protocol(door)
    door.connection_made(transport)
    # The library would read frames behind the request before the request is answered.
    request, end, frames = head.partition(b"\r\n\r\n")
    door.data_received(request + end)
    if not door.accepted:
        return None
    if frames:
        door.data_received(frames)
    return door


def _select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(PROTOCOL_VERSION) if PROTOCOL_VERSION in offered else None

"""Runs an ASGI app (pages, `/api`, the agents' enrolment) on the gateway's own connections.

A small part of the ASGI 3.0 HTTP scope: bodies come whole, answers may stream (SSE pages), and a
client that leaves is told as `http.disconnect`. Lifespan belongs to the process, not to a listener.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from byoi_console.gateway.exchange import Exchange

    Message = MutableMapping[str, Any]
    App = Callable[
        [
            MutableMapping[str, Any],
            Callable[[], Awaitable[Message]],
            Callable[[Message], Awaitable[None]],
        ],
        Awaitable[None],
    ]

_OWN_HEADERS: Final = frozenset({b"transfer-encoding", b"connection", b"content-length"})


class AppAnswer:
    """Sole owner of one request's way through the app."""

    def __init__(
        self, exchange: Exchange, server: tuple[str, int] | None, scheme: str, request_id: str
    ) -> None:
        self._exchange = exchange
        self._server = server
        self._scheme = scheme
        self._request_id = request_id
        self._is_body_read = False
        self._gone = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        exchange.listen(left=self._client_left, writable=self._room.set)

    async def run(self, app: App) -> None:
        """Until the app has answered."""
        await app(self._scope(), self._receive, self._send)
        self._exchange.finish()

    def _scope(self) -> MutableMapping[str, Any]:
        request = self._exchange.request
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.0" if request.is_http10 else "1.1",
            "method": request.method,
            "scheme": self._scheme,
            "path": unquote_to_bytes(request.target).decode(errors="replace"),
            "raw_path": request.target,
            "query_string": request.query,
            "root_path": "",
            "headers": list(request.headers),
            "client": (self._exchange.peer, 0) if self._exchange.peer else None,
            "server": self._server,
            "state": {"request_id": self._request_id},
        }

    async def _receive(self) -> Message:
        if not self._is_body_read:
            self._is_body_read = True
            return {"type": "http.request", "body": self._exchange.request.body, "more_body": False}
        await self._gone.wait()  # as long as the answer takes: it ends with either
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        exchange = self._exchange
        if not exchange.is_open:
            if exchange.has_left:
                raise OSError("the client left")  # as ASGI 2.4 has it; apps stop there
            return
        if message["type"] == "http.response.start":
            headers = [(bytes(n).lower(), bytes(v)) for n, v in message.get("headers", ())]
            length = next((int(v) for n, v in headers if n == b"content-length"), None)
            own = [(n, v) for n, v in headers if n not in _OWN_HEADERS]
            own.append((b"x-request-id", self._request_id.encode()))
            exchange.begin(message["status"], own, length)
        elif message["type"] == "http.response.body":
            await self._send_body(message)

    async def _send_body(self, message: Message) -> None:
        exchange = self._exchange
        exchange.write(message.get("body", b""))
        if not message.get("more_body", False):
            exchange.finish()
            self._gone.set()
            return
        exchange.flush()
        while not exchange.is_writable and exchange.is_open:
            self._room.clear()
            await self._room.wait()  # the connection cuts a client that never reads

    def _client_left(self) -> None:
        self._gone.set()
        self._room.set()

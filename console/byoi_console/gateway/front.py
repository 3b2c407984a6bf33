"""The one listening socket: `/v1/*` to the gateway, agents to their door, all else to the app."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from typing import TYPE_CHECKING, Protocol

from byoi_console.gateway import errors
from byoi_console.gateway.asgi import AppAnswer
from byoi_console.gateway.connection import Budget, ClientConnection, Doors, Times
from byoi_console.gateway.forwarded import Proxies

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from byoi_console.gateway.asgi import App
    from byoi_console.gateway.exchange import Exchange

logger = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")


class Answering(Protocol):
    """What answers `/v1/*`."""

    async def run(self) -> None:
        """Whatever it does beside answering, until cancelled."""

    async def answer(self, exchange: Exchange, request_id: str) -> None:
        """Answer one request."""


class Front:
    """Sole owner of the listening socket, the clients' connections and the requests' tasks.

    `gateway` is run as long as the front and a little longer; `agents_door` takes over nodes'
    transports, with what was read from them and their address; `proxies` are believed about whom
    they speak for.
    """

    def __init__(
        self,
        *,
        gateway: Answering,
        app: App,
        agents_door: Callable[[asyncio.Transport, bytes, str], None] | None,
        proxies: Proxies | None = None,
        times: Times | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._gateway = gateway
        self._app = app
        origin_of = (proxies or Proxies(())).origin_of
        self._doors = Doors(agents_door, self._serve, self._refuse, origin_of)
        self._times = times or Times()
        self._budget = budget or Budget()
        self._connections: set[ClientConnection] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._active = 0
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: asyncio.Server | None = None
        self._address: tuple[str, int] | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def active(self) -> int:
        """Requests that are being answered."""
        return self._active

    async def run(
        self,
        listener: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        started: Callable[[], None] | None = None,
    ) -> None:
        """Serve a bound socket until cancelled; then every connection is closed at once."""
        self._tls = tls
        _notice_vanished(listener)
        name = listener.getsockname()
        self._address = (name[0], name[1]) if isinstance(name, tuple) else None
        async with asyncio.TaskGroup() as beside:
            gateway = beside.create_task(self._gateway.run(), name="gateway")
            try:
                await self._serve_until_cancelled(listener, started)
            finally:
                gateway.cancel()

    async def _serve_until_cancelled(
        self, listener: socket.socket, started: Callable[[], None] | None
    ) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._server = await loop.create_server(
                self._connect,
                sock=listener,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._times.head,
            )
            try:
                if started is not None:
                    started()
                await loop.create_future()  # until cancelled: that is how a front ends
            finally:
                self._tasks = None
                self._server.close()
                for connection in tuple(self._connections):
                    connection.abort()

    async def drain(self, deadline_seconds: float) -> None:
        """Take no new connections and requests; return when all answers are given, or in time."""
        self._is_draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close_when_idle()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("answers cut at shutdown", extra={"requests": self._active})

    def _connect(self) -> ClientConnection:
        return ClientConnection(self._doors, self._times, self._connections, self._budget)

    def _serve(self, exchange: Exchange) -> None:
        if self._tasks is None:  # the front has ended, and this one was still being accepted
            exchange.abort()
            return
        request = exchange.request
        if self._is_draining:  # a connection that was being accepted as the listener closed
            request.keeps_alive = False
        self._active += 1
        self._idle.clear()
        name = f"{request.method} {request.path[:80]}"
        self._tasks.create_task(self._answer(exchange), name=name)

    async def _answer(self, exchange: Exchange) -> None:
        request_id = new_request_id()
        try:
            if _is_gateway_s(exchange.request.target):
                await self._gateway.answer(exchange, request_id)
            else:
                scheme = exchange.scheme or ("http" if self._tls is None else "https")
                answer = AppAnswer(exchange, self._address, scheme, request_id)
                await answer.run(self._app)
        except Exception:
            if not exchange.has_left:
                logger.exception("request failed", extra={"request": request_id})
            if exchange.is_open:
                _give_up(exchange, request_id)
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()
            if exchange.is_open:
                exchange.abort()

    def _refuse(self, exchange: Exchange, status: int, message: str) -> None:
        answer = errors.refused(status, message)
        identity = (b"x-request-id", new_request_id().encode())
        exchange.answer(answer.status, (_JSON, identity), answer.body)


def new_request_id() -> str:
    """A name for a request that nobody else has; a client's own is never taken."""
    return f"req_{secrets.token_hex(16)}"


def _notice_vanished(listener: socket.socket) -> None:
    """Have the kernel find clients that vanished without a FIN; connections inherit it (Linux)."""
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 60_000),
    ):
        if hasattr(socket, option):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _is_gateway_s(target: bytes) -> bool:
    return target.startswith(b"/v1/") or target == b"/v1"


def _give_up(exchange: Exchange, request_id: str) -> None:
    if exchange.has_begun:
        exchange.abort()
        return
    answer = errors.internal()
    exchange.answer(answer.status, (_JSON, (b"x-request-id", request_id.encode())), answer.body)

"""Serves the control API: on a unix socket, whose mode decides, and on loopback with a token."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from byoi_agent.control.actor import TOKEN, name_actor
from byoi_agent.control.guard import is_from_here, judge
from byoi_agent.control.routes import metrics
from byoi_agent.control.routing import Routes, refused
from byoi_agent.control.schema import NodePlace
from byoi_agent.control.services import ControlServices, routes_of
from byoi_agent.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_SOCKET_UMASK: Final = 0o117  # → 0660: whoever is in the socket's group may ask
_BODY_LIMIT_BYTES: Final = 16 * 1024
_CLOSE_SECONDS: Final = 1.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Middleware = Callable[[web.Request, _Handler], Awaitable[web.StreamResponse]]


@dataclass
class ControlServer:
    """Sole owner of the listening sockets; an async context manager.

    `metrics_port` serves /metrics alone, to any program of this machine, without a token.
    """

    services: ControlServices
    socket_path: Path | None
    port: int = 0
    metrics_port: int | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _runners: list[web.AppRunner] = field(default_factory=list, repr=False)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: the port or the socket is taken by somebody else.
        """
        try:
            listener = _bind_loopback("control_port", self.port, "0 takes any free one")
            self.port = int(listener.getsockname()[1])
            routes = routes_of(self.services)
            await self._serve(listener, routes, self._guarded)
            if self.metrics_port is not None:
                listener = _bind_loopback("metrics_port", self.metrics_port, "choose another")
                await self._serve(listener, _figures_of(self.services), self._from_here)
            if self.socket_path is not None and hasattr(socket, "AF_UNIX"):
                await self._serve(_bind_unix(self.socket_path), routes)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and take the socket away."""
        await self._close()
        if self.socket_path is not None:
            with suppress(OSError):
                self.socket_path.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """The base URL on loopback."""
        return f"http://127.0.0.1:{self.port}"

    def place(self, node_id: str, state_dir: Path) -> NodePlace:
        """Where the node can be reached, for its `control.json`."""
        return NodePlace(
            node_id=node_id,
            pid=os.getpid(),
            control_url=self.url,
            control_token=self.token,
            control_socket=None if self.socket_path is None else str(self.socket_path),
            state_dir=str(state_dir),
        )

    async def _serve(
        self, listener: socket.socket, routes: Routes, *middlewares: _Middleware
    ) -> None:
        app = web.Application(
            middlewares=[_as_json, *middlewares],  # type: ignore[list-item]
            client_max_size=_BODY_LIMIT_BYTES,
        )
        routes.serve(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener).start()

    async def _close(self) -> None:
        while self._runners:
            await self._runners.pop().cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        match judge(request.headers, self.port, self.token):
            case "unauthorized":
                raise web.HTTPUnauthorized(reason="Give the control token as a bearer")
            case "forbidden":
                raise web.HTTPForbidden(reason="Only programs on this machine may ask")
            case "allowed":
                name_actor(request, TOKEN)
                return await handler(request)

    @web.middleware
    async def _from_here(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not is_from_here(request.headers, self.metrics_port or 0):
            raise web.HTTPForbidden(reason="Only programs on this machine may ask")
        return await handler(request)


@web.middleware
async def _as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal and every fault of ours as one JSON form."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return refused(refusal.status, refusal.reason)
    except AgentError as error:
        return refused(503, str(error))
    except Exception:
        logger.exception("control request failed", extra={"path": request.path})
        return refused(500, "a fault of the agent; its log has the details")


def _figures_of(services: ControlServices) -> Routes:
    routes = Routes()
    if services.metrics is not None:
        metrics.add(routes, services.metrics)
    return routes


def _bind_loopback(setting: str, port: int, mend: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"{setting} {port} cannot be used: {error.strerror}; {mend}") from error
    return listener


def _bind_unix(path: Path) -> socket.socket:
    # What lies there is a dead process's: this one holds the lock of the state folder.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_SOCKET_UMASK)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"the control socket {path} cannot be made: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener

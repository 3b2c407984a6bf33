"""Serves the control API: on a unix socket, whose mode decides, and on loopback with a token."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from aiohttp import web

from byoi_agent.control.door import Door
from byoi_agent.control.guard import is_from_here
from byoi_agent.control.listeners import bind_loopback, bind_unix, listen
from byoi_agent.control.manners import harden, http_logger, in_time, tells_refusals
from byoi_agent.control.routes import dashboard, metrics
from byoi_agent.control.routing import Routes
from byoi_agent.control.schema import NodePlace
from byoi_agent.control.services import ControlServices, routes_of
from byoi_agent.control.sessions import Sessions
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.control.kept_sessions import SessionKeeper

_BODY_LIMIT_BYTES: Final = 64 * 1024
_CLOSE_SECONDS: Final = 1.0
_IDLE_SECONDS: Final = 30.0
"""How long a connection may stay without a whole request's head."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Middleware = Callable[[web.Request, _Handler], Awaitable[web.StreamResponse]]


class Pages(Protocol):
    """Whoever makes pages for a browser; on the loopback port only."""

    def add(self, app: web.Application, routes: Routes) -> None:
        """Have the application answer with them; they ask what the API can be asked."""
        ...

    def refuse(self, status: int, message: str) -> web.Response:
        """What a person sees instead of a page."""
        ...


@dataclass
class ControlServer:
    """Sole owner of the listening sockets; an async context manager.

    `metrics_port` serves /metrics alone, to any program of this machine, without a token. `group`
    is whose members may use the socket, where there is such a group. `keeper` has browsers let in
    across a restart.
    """

    services: ControlServices
    socket_path: Path | None
    port: int = 0
    metrics_port: int | None = None
    pages: Pages | None = None
    group: str | None = None
    keeper: SessionKeeper | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    now: Callable[[], float] = time.monotonic
    idle_seconds: float = _IDLE_SECONDS
    _door: Door = field(init=False, repr=False)
    _runners: list[web.AppRunner] = field(default_factory=list, repr=False)
    _listeners: list[asyncio.Server] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        """The door, which knows its port later."""
        self._door = Door(self.token, Sessions(self.now), self.now)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: the port or the socket is taken by somebody else.
        """
        try:
            await self._listen()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Stop listening and take the socket away; after an end in order browsers come back."""
        await self._close()
        if self.keeper is not None and failure is None:
            self.keeper.keep(self.port, self._door.sessions.kept())
        if self.socket_path is not None:
            with suppress(OSError):
                self.socket_path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Until cancelled: what happens is told to whoever listens, and models are pulled."""
        logs, events, models = self.services.logs, self.services.events, self.services.models
        with nullcontext() if logs is None else logs.kept():
            async with asyncio.TaskGroup() as tasks:
                if events is not None:
                    tasks.create_task(events.run(), name="events")
                if models is not None:
                    tasks.create_task(models.pulls.run(), name="pulls")

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
            control_socket=str(self.socket_path) if self._has_socket else None,
            state_dir=str(state_dir),
        )

    @property
    def _has_socket(self) -> bool:
        return self.socket_path is not None and hasattr(socket, "AF_UNIX")

    async def _listen(self) -> None:
        listener = self._bind()
        routes = routes_of(self.services)
        if self.pages is not None:
            dashboard.add(routes, self._door.url_to_open, self._door.sessions.end_all)
        await self._serve(listener, self._for_people(routes))
        if self.metrics_port is not None:
            listener = bind_loopback("metrics_port", self.metrics_port, "choose another")
            await self._serve(listener, self._for_figures())
        if self.socket_path is not None and self._has_socket:
            app = _application()
            routes.serve(app)
            await self._serve(bind_unix(self.socket_path, self.group), app)

    def _bind(self) -> socket.socket:
        """The port of before where any will do, as open pages ask there."""
        taken = None if self.keeper is None else self.keeper.take()
        listener = None
        if taken is not None and self.port == 0:
            with suppress(ConfigError):  # somebody else has it now: another, and another link
                listener = bind_loopback("control_port", taken[0].port, "")
        if listener is None:
            listener = bind_loopback("control_port", self.port, "0 takes any free one")
        self.port = self._door.port = int(listener.getsockname()[1])
        if taken is not None and taken[0].port == self.port:
            self._door.sessions.let_in_again(taken[0].sessions, taken[1])
        return listener

    def _for_people(self, routes: Routes) -> web.Application:
        app = _application(self._door.guard, pages=self.pages)
        routes.serve(app)
        if self.pages is not None:
            self._door.add(app)
            self.pages.add(app, routes)
        return app

    def _for_figures(self) -> web.Application:
        app = _application(self._only_from_here)
        if self.services.metrics is not None:
            routes = Routes()
            metrics.add(routes, self.services.metrics)
            routes.serve(app)
        return app

    async def _serve(self, listener: socket.socket, app: web.Application) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=http_logger,
            shutdown_timeout=_CLOSE_SECONDS,
            keepalive_timeout=self.idle_seconds,
            auto_decompress=False,
        )
        self._runners.append(runner)
        await runner.setup()
        assert runner.server is not None
        self._listeners.append(await listen(runner.server, listener))

    async def _close(self) -> None:
        if self.services.events is not None:
            self.services.events.close()
        while self._listeners:
            self._listeners.pop().close()
        while self._runners:
            await self._runners.pop().cleanup()

    @web.middleware
    async def _only_from_here(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not is_from_here(request.headers, self.metrics_port or 0):
            raise web.HTTPForbidden(reason="Only programs on this machine may ask")
        return await handler(request)


def _application(*middlewares: _Middleware, pages: Pages | None = None) -> web.Application:
    tells = tells_refusals(None if pages is None else pages.refuse)
    app = web.Application(
        middlewares=[tells, in_time, *middlewares],  # type: ignore[list-item]
        client_max_size=_BODY_LIMIT_BYTES,
    )
    app.on_response_prepare.append(harden)
    return app

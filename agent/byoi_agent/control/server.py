"""Serves the control API: on a unix socket, whose mode decides, and on loopback with a token."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self

from aiohttp import web
from pydantic import ValidationError

from byoi_agent.control.guard import is_from_here, judge
from byoi_agent.control.metrics import CONTENT_TYPE as METRICS_TYPE
from byoi_agent.control.schema import (
    EngineOrder,
    MeasuredOrder,
    NodePlace,
    StatusReport,
    UsageTable,
    usage_table,
)
from byoi_agent.errors import AgentError, ConfigError, IdentityError
from byoi_agent.usage.report import UsageFilter

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.control.schema import KeyChange, ReloadReport
    from byoi_agent.usage.report import UsageReport
    from byoi_wire.messages import Advertise

logger = logging.getLogger(__name__)

_SOCKET_UMASK: Final = 0o117  # → 0660: whoever is in the socket's group may ask
_BODY_LIMIT_BYTES: Final = 16 * 1024
_CLOSE_SECONDS: Final = 1.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Middleware = Callable[[web.Request, _Handler], Awaitable[web.StreamResponse]]


class EngineOrders(Protocol):
    """What the owner may have the engine do; what comes of it is told by the status."""

    def sleep(self, within_seconds: float, model: str | None = None) -> None: ...  # noqa: D102
    def wake(self, model: str | None = None) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class ControlServices:
    """What the API can be asked, given by the daemon: each answers from the node's own rooms."""

    status: Callable[[], Awaitable[StatusReport]]
    offer: Callable[[], Advertise]
    usage: Callable[[UsageFilter], Awaitable[UsageReport]]
    engine: EngineOrders | None = None
    reload: Callable[[], ReloadReport] | None = None
    rotate_key: Callable[[], Awaitable[KeyChange]] | None = None
    metrics: Callable[[], bytes] | None = None
    keep_measured: Callable[[MeasuredOrder], None] | None = None


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
            await self._serve(listener, self._guarded)
            if self.metrics_port is not None:
                listener = _bind_loopback("metrics_port", self.metrics_port, "choose another")
                await self._serve(listener, self._from_here, only_metrics=True)
            if self.socket_path is not None and hasattr(socket, "AF_UNIX"):
                await self._serve(_bind_unix(self.socket_path))
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
        self, listener: socket.socket, *middlewares: _Middleware, only_metrics: bool = False
    ) -> None:
        app = web.Application(
            middlewares=[_as_json, *middlewares],  # type: ignore[list-item]
            client_max_size=_BODY_LIMIT_BYTES,
        )
        if (metrics := self.services.metrics) is not None:
            app.router.add_get("/metrics", partial(_metrics, metrics))
        if not only_metrics:
            self._add_api(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener).start()

    def _add_api(self, app: web.Application) -> None:
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/offer", self._offer)
        app.router.add_get("/api/usage", self._usage)
        if (engine := self.services.engine) is not None:
            app.router.add_post("/api/engine/sleep", partial(_sleep, engine))
            app.router.add_post("/api/engine/wake", partial(_wake, engine))
        if (keep := self.services.keep_measured) is not None:
            app.router.add_post("/api/measured", partial(_keep_measured, keep))
        if (reload := self.services.reload) is not None:
            app.router.add_post("/api/reload", partial(_reload, reload))
        if (rotate_key := self.services.rotate_key) is not None:
            app.router.add_post("/api/keys/rotate", partial(_rotate_key, rotate_key))

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
                return await handler(request)

    @web.middleware
    async def _from_here(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not is_from_here(request.headers, self.metrics_port or 0):
            raise web.HTTPForbidden(reason="Only programs on this machine may ask")
        return await handler(request)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json((await self.services.status()).model_dump_json())

    async def _offer(self, _request: web.Request) -> web.Response:
        return _json(self.services.offer().model_dump_json())

    async def _usage(self, request: web.Request) -> web.Response:
        asked = {name: request.query[name] for name in UsageFilter._fields if name in request.query}
        report: UsageTable = usage_table([await self.services.usage(UsageFilter(**asked))])
        return _json(report.model_dump_json())


async def _metrics(metrics: Callable[[], bytes], _request: web.Request) -> web.Response:
    return web.Response(body=metrics(), headers={"Content-Type": METRICS_TYPE})


async def _reload(reload: Callable[[], ReloadReport], _request: web.Request) -> web.Response:
    try:
        return _json(reload().model_dump_json())
    except ConfigError as error:
        return _error(web.HTTPConflict.status_code, str(error))


async def _rotate_key(
    rotate_key: Callable[[], Awaitable[KeyChange]], _request: web.Request
) -> web.Response:
    try:
        return _json((await rotate_key()).model_dump_json())
    except IdentityError as error:
        return _error(web.HTTPConflict.status_code, str(error))


async def _sleep(engine: EngineOrders, request: web.Request) -> web.Response:
    order = await _order(request)
    return _obeyed(lambda: engine.sleep(order.within_seconds, order.model))


async def _wake(engine: EngineOrders, request: web.Request) -> web.Response:
    order = await _order(request)
    return _obeyed(lambda: engine.wake(order.model))


async def _order(request: web.Request) -> EngineOrder:
    try:
        return EngineOrder.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise web.HTTPBadRequest(
            reason="within_seconds is a number from 0 to 3600, and model a name"
        ) from error


def _obeyed(order: Callable[[], None]) -> web.Response:
    try:
        order()
    except ConfigError as error:
        return _error(web.HTTPNotFound.status_code, str(error))
    return _json("{}", status=202)


async def _keep_measured(
    keep: Callable[[MeasuredOrder], None], request: web.Request
) -> web.Response:
    """Keep what a benchmark found of a model, and advertise it."""
    try:
        order = MeasuredOrder.model_validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPBadRequest(reason="the body is a model and what was measured") from error
    keep(order)
    return _json("{}", status=202)


@web.middleware
async def _as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal and every fault of ours as one JSON form."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _error(refusal.status, refusal.reason)
    except AgentError as error:
        return _error(503, str(error))
    except Exception:
        logger.exception("control request failed", extra={"path": request.path})
        return _error(500, "a fault of the agent; its log has the details")


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


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)

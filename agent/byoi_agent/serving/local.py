"""The owner's own /v1 on loopback: the same engines, ahead of guests, and on nobody's bill."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from byoi_agent.errors import RequestRefused
from byoi_agent.serving import local_answers as answers
from byoi_agent.serving.local_door import MODELS, refusal
from byoi_agent.serving.local_stream import LocalStream
from byoi_agent.serving.local_writing import COMMENT_SECONDS, LocalAnswer
from byoi_wire.ids import ModelId, RequestId, StreamId
from byoi_wire.messages import OpenHead, ResetCode
from byoi_wire.requests import (
    BODY_LIMIT_BYTES,
    EXTRA_FIELDS,
    ROUTES,
    RequestInvalid,
    check,
    decode_body,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from byoi_agent.engine.view import EngineView
    from byoi_agent.node.board import Board
    from byoi_agent.serving.local_answers import Fault
    from byoi_agent.serving.neighbours import StreamSession, Surroundings
    from byoi_wire.aio.session import StreamHandler

logger = logging.getLogger(__name__)

BODY_SECONDS: Final = 30.0
DEADLINE_SECONDS: Final = 3600.0
"""Nobody else is kept waiting by it; an answer that takes longer has been forgotten."""

COMING_SECONDS: Final = 900.0
"""So long a request waits for an engine that starts; how long that may take, the engine knows."""

_CLOSE_SECONDS: Final = 1.0
_COMING: Final = frozenset({"starting", "suspect", "backing_off"})
_EXTRA: Final = frozenset(EXTRA_FIELDS)


class OwnDoor(Protocol):
    """Where the owner's requests get in; the dispatcher has it."""

    def accept_own(  # noqa: D102
        self, session: StreamSession, stream: StreamId, head: OpenHead, around: Surroundings
    ) -> StreamHandler: ...


class LocalServer:
    """Sole owner of the local listeners and of what is written to them.

    `around` is what the owner's requests share; `key` may be changed while it serves.
    """

    def __init__(
        self, door: OwnDoor, board: Board, around: Surroundings, *, key: str | None
    ) -> None:
        self.key = key
        self._door = door
        self._board = board
        self._around = around
        self._numbers = itertools.count(1)

    async def run(self, listeners: Sequence[socket.socket]) -> None:
        """Serve them until cancelled; what is being written then gets a second to be read."""
        app = web.Application(client_max_size=BODY_LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSE_SECONDS
        )
        await runner.setup()
        try:
            for listener in listeners:
                await web.SockSite(runner, listener).start()
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        answer = LocalAnswer(request, request_id=f"own_{secrets.token_hex(16)}")
        try:
            return await self._answered(request, answer)
        except RequestInvalid as error:
            return await answer.fail(answers.invalid(error))
        except web.HTTPRequestEntityTooLarge:
            message = f"The body is larger than {BODY_LIMIT_BYTES} bytes."
            return await answer.fail(answers.fault(413, message, "body_too_large"))
        except (web.HTTPException, HttpProcessingError, ConnectionError):
            raise
        except Exception:
            logger.exception("local request failed", extra={"request": answer.request_id})
            return await answer.fail(answers.cut(ResetCode.INTERNAL, ""))

    async def _answered(self, request: web.Request, answer: LocalAnswer) -> web.StreamResponse:
        sockname = request.get_extra_info("sockname") or ("", 0)
        no = refusal(request.method, request.path, request.headers, port=sockname[1], key=self.key)
        if no is not None:
            return await answer.fail(answers.fault(no.status, no.message, no.code), no.headers)
        if request.method == "POST":
            return await self._ask(request, answer)
        models = answers.models_of(self._around.engine.views)
        if request.path == MODELS:
            return answer.whole(200, answers.listed(models))
        name = request.path.removeprefix(f"{MODELS}/")
        if (body := answers.described(models, name)) is not None:
            return answer.whole(200, body)
        return await answer.fail(answers.unknown_model(name, models))

    async def _ask(self, request: web.Request, answer: LocalAnswer) -> web.StreamResponse:
        if (request.content_length or 0) > BODY_LIMIT_BYTES:  # it says so itself: do not wait
            raise web.HTTPRequestEntityTooLarge(BODY_LIMIT_BYTES)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                raw = await request.read()
        except TimeoutError:
            return await answer.fail(answers.fault(408, "The body did not come.", "body_late"))
        # Looked at here already, so that no guest makes room for what no engine will take.
        route = ROUTES[request.path]
        body = check(route, decode_body(raw), allowed_extra=_EXTRA).body
        model = ModelId(body["model"])
        answer.is_stream = route.streams and body.get("stream") is True
        answer.dialect = route.dialect
        if (fault := await self._until_askable(model, answer)) is not None:
            return await answer.fail(fault)
        head = OpenHead(
            request_id=RequestId(answer.request_id),
            attempt=1,
            ticket="",
            tenant="",
            path=route.path,
            model=model,
            deadline_seconds=DEADLINE_SECONDS,
            body_bytes=len(raw),
        )
        return await self._pass_through(head, raw, answer)

    async def _pass_through(
        self, head: OpenHead, raw: bytes, answer: LocalAnswer
    ) -> web.StreamResponse:
        stream = LocalStream()
        try:
            handler = self._door.accept_own(
                stream, StreamId(next(self._numbers)), head, self._around
            )
        except RequestRefused as refused:
            return await answer.fail(answers.refused(refused.reason))
        try:
            handler.data_received(raw)
            handler.end_received(b"")
            return await answer.write(stream, handler)
        finally:
            if not stream.is_over:  # the program has left: the engine stops in this very turn
                handler.reset_received(ResetCode.CANCELLED, "")

    async def _until_askable(self, model: ModelId, answer: LocalAnswer) -> Fault | None:
        """Wait for an engine that is on its way; why not, where it is not."""
        loop = asyncio.get_running_loop()
        until = loop.time() + COMING_SECONDS
        while not self._is_askable(model):
            if (fault := self._absent(model)) is not None:
                return fault
            if loop.time() >= until:
                return answers.refused("engine_not_ready")
            try:
                async with asyncio.timeout(COMMENT_SECONDS):
                    await self._board.wait_until(lambda _view: not self._is_coming(model))
            except TimeoutError:
                await answer.comment()
        return None

    def _is_coming(self, model: ModelId) -> bool:
        return not self._is_askable(model) and self._absent(model) is None

    def _is_askable(self, model: ModelId) -> bool:
        views = self._around.engine.views
        return any(each.id == model for each in answers.models_of(views))

    def _absent(self, model: ModelId) -> Fault | None:
        """Why nobody should wait for that model; None where its engine is on its way."""
        models = answers.models_of(self._around.engine.views)
        engine = self._around.engine.engine_for(model)
        if engine is None or (view := self._view_of(engine.key)) is None:
            return answers.unknown_model(model, models)
        if view.state in _COMING:
            return None
        if view.state == "ready":
            return answers.unknown_model(model, models)
        return answers.refused("engine_not_ready")

    def _view_of(self, key: str) -> EngineView | None:
        return next((view for view in self._around.engine.views if view.key == key), None)

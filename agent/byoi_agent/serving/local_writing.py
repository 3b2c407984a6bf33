"""Writes one answer of the local /v1: whole, or piece by piece with comments while it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from byoi_agent.serving import local_answers as answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.serving.local_answers import Fault
    from byoi_agent.serving.local_stream import LocalStream
    from byoi_wire.aio.session import StreamHandler
    from byoi_wire.requests import Dialect

COMMENT_SECONDS: Final = 15.0
"""A program hears of a stream at least so often, also while its model is being loaded."""

SERVER: Final = "byoi"
_COMMENT: Final = b": keep-alive\n\n"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_JSON: Final = "application/json"
_OK: Final = 200
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503


class LocalAnswer:
    """Sole writer of one answer.

    Attributes:
        request_id: told to the program, and in the log.
        is_stream: whether the program asked for events.
        dialect: how an error is told once the stream has begun.
    """

    def __init__(self, request: web.Request, *, request_id: str) -> None:
        self.request_id = request_id
        self.is_stream = False
        self.dialect: Dialect = "chat"
        self._request = request
        self._begun: web.StreamResponse | None = None

    def whole(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """An answer that has its length; nothing of it may have been written before."""
        answer = web.Response(status=status, body=body, content_type=_JSON)
        answer.headers.update({**self._headers, **(headers or {})})  # names in any case, each once
        return answer

    async def fail(
        self, fault: Fault, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """An error in OpenAI's form, as an event where the stream has begun."""
        if self._begun is None:
            again = {"Retry-After": str(answers.RETRY_SECONDS)}
            told = again if fault.status in {_TOO_MANY, _UNAVAILABLE} else {}
            return self.whole(fault.status, fault.body, {**told, **(headers or {})})
        await self._begun.write(answers.event_of(fault.body, self.dialect))
        await self._begun.write_eof()
        return self._begun

    async def comment(self) -> None:
        """Nothing has come for a while; only who reads events can be told."""
        if self.is_stream:
            begun = await self._begin(_OK, {"Content-Type": _EVENTS})
            await begun.write(_COMMENT)

    async def write(self, stream: LocalStream, handler: StreamHandler) -> web.StreamResponse:
        """All that comes of it, as it comes; `handler` hears when there is room again."""
        if not self.is_stream:
            return await self._write_whole(stream)
        while True:
            if not await stream.news(COMMENT_SECONDS):
                await self.comment()
                continue
            head = stream.head
            if stream.cut is not None and stream.head is None:
                return await self.fail(answers.cut(*stream.cut))
            if head is not None and head.status != _OK:
                return await self._write_error(stream)
            if (begun := await self._write_on(stream, handler)) is not None:
                return begun

    async def _write_on(
        self, stream: LocalStream, handler: StreamHandler
    ) -> web.StreamResponse | None:
        """What has come by now; the response where that was its end."""
        assert stream.head is not None, "written before it began"
        begun = await self._begin(_OK, stream.head.headers)
        # Taken only now, and its end looked at in the same turn: more may have come meanwhile.
        data, was_held = stream.take()
        cut, is_over = stream.cut, stream.is_over
        if data:
            await begun.write(data)
        if cut is not None:
            return await self.fail(answers.cut(*cut))
        if is_over:
            await begun.write_eof()
            return begun
        if was_held:
            handler.send_allowed()
        return None

    async def _write_whole(self, stream: LocalStream) -> web.StreamResponse:
        await stream.until_over()
        if stream.cut is not None:
            return await self.fail(answers.cut(*stream.cut))
        assert stream.head is not None, "it ended before it began"
        data, _ = stream.take()
        return self.whole(stream.head.status, data, stream.head.headers)

    async def _write_error(self, stream: LocalStream) -> web.StreamResponse:
        await stream.until_over()
        if self._begun is None or stream.cut is not None:
            return await self._write_whole(stream)
        assert stream.head is not None, "it ended before it began"
        return await self.fail(answers.Fault(stream.head.status, stream.take()[0]))

    async def _begin(self, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
        if self._begun is None:
            told = {**headers, **self._headers, "Cache-Control": "no-store"}
            self._begun = web.StreamResponse(status=status, headers=told)
            await self._begun.prepare(self._request)
        return self._begun

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Request-Id": self.request_id, "Server": SERVER}

"""What holds for every answer of the control API, and how long a request may take to arrive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from byoi_agent.control.routing import refused
from byoi_agent.errors import AgentError

logger = logging.getLogger(__name__)
http_logger = logging.getLogger(f"{__name__}.http")
"""Of the server itself: anybody on this machine can send it what is no HTTP, as often as they like,
and what they send must not stand in the log, nor fill it."""
http_logger.addFilter(lambda record: not _is_of_no_http(record))

BODY_SECONDS: Final = 10.0
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would have browsers hide the origin of our own forms from us.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
Refuser = Callable[[int, str], web.Response]


def _is_of_no_http(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, HttpProcessingError)


async def harden(_request: web.Request, response: web.StreamResponse) -> None:
    """The headers that keep an answer from being framed, guessed at or kept."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "byoi"  # instead of what it is made of


@web.middleware
async def in_time(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A body is here soon, or the connection ends."""
    if request.body_exists:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(reason="The request took too long to arrive") from None
    return await handler(request)


def tells_refusals(
    refuse_page: Refuser | None,
) -> Callable[
    [web.Request, Callable[[web.Request], Awaitable[web.StreamResponse]]],
    Awaitable[web.StreamResponse],
]:
    """Every refusal and every fault of ours as one JSON form; `refuse_page` tells people."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            answer = _as_form(request, refusal.status, refusal.reason)
            for name in {"Allow", "Retry-After"} & refusal.headers.keys():
                answer.headers[name] = refusal.headers[name]
            return answer
        except AgentError as error:
            return _as_form(request, 503, str(error))
        except Exception:
            logger.exception("control request failed", extra={"path": request.path})
            return _as_form(request, 500, "a fault of the agent; its log has the details")

    def _as_form(request: web.Request, status: int, message: str) -> web.Response:
        if refuse_page is not None and "text/html" in request.headers.get("Accept", ""):
            return refuse_page(status, message)
        return refused(status, message)

    return middleware

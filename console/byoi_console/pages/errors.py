"""What goes wrong, in words for the person who looks at it."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from byoi_console.errors import (
    ConsoleError,
    Forbidden,
    InputInvalid,
    NotFound,
    TooManyAttempts,
    Unauthenticated,
)
from byoi_console.pages.guard import SignInNeeded, render
from byoi_console.pages.headers import HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

logger = logging.getLogger(__name__)


class _Words(NamedTuple):
    title: str
    advice: str


_WORDS: Final[Mapping[int, _Words]] = {
    400: _Words("That could not be used", "Go back, correct it and send it again."),
    403: _Words("That is not allowed", "Go back and open the page again before you repeat it."),
    404: _Words("There is no such page", "The address may be old, or mistyped."),
    405: _Words("That cannot be done here", "Use the buttons of the page instead."),
    429: _Words("Too many attempts", "Wait a while, then try again."),
    500: _Words(
        "Something went wrong",
        "It is a fault of the console. Its log tells more, under the request's name below.",
    ),
    503: _Words("The console is not ready", "Try again in a few seconds."),
}
_STATUS: Final[Mapping[type[ConsoleError], int]] = {
    Forbidden: 403,
    InputInvalid: 400,
    NotFound: 404,
    TooManyAttempts: 429,
    Unauthenticated: 403,
}


async def sign_in_needed(request: Request, error: Exception) -> Response:
    """To the sign-in page; a script that fetched a part of a page takes the whole page there."""
    location = error.location if isinstance(error, SignInNeeded) else "/sign-in"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"hx-redirect": location})
    return RedirectResponse(location, 303)


async def console_error(request: Request, error: Exception) -> Response:
    """One of our own errors, each with its status."""
    status = _STATUS.get(type(error), 503) if isinstance(error, ConsoleError) else 503
    answer = _page(request, status, str(error))
    if isinstance(error, TooManyAttempts):
        answer.headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    return answer


async def http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses: an unknown path, a wrong method."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    answer = _page(request, status, "")
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


async def database_error(request: Request, error: Exception) -> Response:
    """The database refuses: said once here with its reason, and the person may try again."""
    logger.error("database failed", extra={"why": str(error)})
    answer = _page(request, 503, "The console's database cannot be used at the moment.")
    answer.headers["retry-after"] = "5"
    return answer


async def unexpected(request: Request, _error: Exception) -> Response:
    """A fault of ours: the traceback goes to the log, never to the person."""
    answer = _page(request, 500, "")
    answer.headers.update(HEADERS)  # made outside of what adds them to every other answer
    return answer


HANDLERS: dict[Any, Any] = {
    SignInNeeded: sign_in_needed,
    ConsoleError: console_error,
    HTTPException: http_error,
    SQLAlchemyError: database_error,
    Exception: unexpected,
}


def _page(request: Request, status: int, message: str) -> Response:
    words = _WORDS.get(status) or _Words(HTTPStatus(status).phrase, "Go back and try again.")
    return render(
        request,
        "error.html",
        status_code=status,
        title=words.title,
        message=message,
        advice=words.advice,
        request_id=_request_id(request) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "",
    )


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))

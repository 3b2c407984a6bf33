"""Errors of the API as OpenAI's error object, the same as `/v1` gives."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from byoi_console.errors import (
    ConsoleError,
    EnrolmentRefused,
    Forbidden,
    GrantRefused,
    InputInvalid,
    NotFound,
    TooManyAttempts,
    TooManyDevices,
    Unauthenticated,
)
from byoi_wire.requests import openai_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

logger = logging.getLogger(__name__)

_INVALID: Final = "invalid_request_error"


_ANSWERS: Final[Mapping[type[ConsoleError], tuple[int, str, str | None]]] = {
    Unauthenticated: (401, _INVALID, "invalid_api_key"),
    Forbidden: (403, _INVALID, "forbidden"),
    NotFound: (404, _INVALID, "not_found"),
    InputInvalid: (400, _INVALID, None),
    EnrolmentRefused: (401, _INVALID, None),
    TooManyAttempts: (429, "rate_limit_error", "too_many_attempts"),
    TooManyDevices: (429, "rate_limit_error", "too_many_devices"),
}
_UNAVAILABLE: Final[tuple[int, str, str | None]] = (503, "server_error", "unavailable")


async def console_error(_request: Request, error: Exception) -> JSONResponse:
    """One of our own errors, each with its status."""
    status, kind, code = _UNAVAILABLE
    if isinstance(error, ConsoleError):
        status, kind, code = _ANSWERS.get(type(error), _UNAVAILABLE)
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, TooManyAttempts | TooManyDevices):
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    if isinstance(error, EnrolmentRefused):
        code = error.code
    param = error.param if isinstance(error, InputInvalid) else None
    return _answer(status, str(error), kind=kind, code=code, param=param, headers=headers)


async def grant_refused(_request: Request, error: Exception) -> JSONResponse:
    """RFC 8628's own error object, which any device client knows."""
    code = error.code if isinstance(error, GrantRefused) else "invalid_grant"
    return JSONResponse(
        {"error": code, "error_description": str(error)}, 400, {"cache-control": "no-store"}
    )


async def database_error(_request: Request, error: Exception) -> JSONResponse:
    """The database refuses: said once here with its reason, and the caller may try again."""
    logger.error("database failed", extra={"why": str(error)})
    status, kind, code = _UNAVAILABLE
    message = "The console's database cannot be used at the moment."
    return _answer(status, message, kind=kind, code=code, headers={"retry-after": "5"})


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: an unknown path, a wrong method."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    headers = error.headers if isinstance(error, HTTPException) else None
    message, code = "The request could not be served.", None
    if status == HTTPStatus.NOT_FOUND:
        message, code = f"Unknown request URL: {request.method} {request.url.path}.", "unknown_url"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"Method {request.method} is not allowed here."
    return _answer(status, message, code=code, headers=headers)


async def unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """A fault of ours: the traceback goes to the log, never to the caller."""
    return _answer(500, "The console could not serve this request.", kind="server_error")


HANDLERS: dict[Any, Any] = {
    ConsoleError: console_error,
    GrantRefused: grant_refused,
    HTTPException: http_error,
    SQLAlchemyError: database_error,
    Exception: unexpected,
}


def _answer(
    status: int,
    message: str,
    *,
    kind: str = _INVALID,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = openai_error(message, type=kind, param=param, code=code)
    return JSONResponse(body, status, headers)

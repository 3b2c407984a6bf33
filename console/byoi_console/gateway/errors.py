"""OpenAI's error bodies, one for every way in which a request can come to nothing here."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from byoi_console.errors import (
    ConsoleError,
    Forbidden,
    LedgerUnavailable,
    LimitExceeded,
    TooManyAttempts,
    Unauthenticated,
)
from byoi_wire.messages import ResetCode
from byoi_wire.requests import RequestInvalid, openai_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_console.gateway.exchange import Header
    from byoi_wire.messages import Availability
    from byoi_wire.requests import Dialect

RETRY_SECONDS: Final = 5
AWAY_SECONDS: Final = 30
"""Where nobody knows when an owner leaves the machine again."""

AWAY_LIMIT_SECONDS: Final = 3600
"""An owner may change their mind; no client shall stay away for a night."""


class Answer(NamedTuple):
    """A whole answer; headers that every answer has are added where it is sent."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


class RouteUnknown(ConsoleError):
    """Nothing is at this path."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Invalid URL ({method} {path[:200]})")


class MethodRefused(ConsoleError):
    """There is something at this path, for other methods.

    Attributes:
        allowed: what the `Allow` header says.
    """

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"Not allowed to {method} on {path[:200]}. Allowed: {allowed}.")
        self.allowed = allowed


class MediaRefused(ConsoleError):
    """The body's type or coding is not taken: 415."""


class ModelUnknown(ConsoleError):
    """Nobody offers a model of this name to this organisation."""

    def __init__(self, model: str, near: Sequence[str]) -> None:
        meant = " Did you mean " + " or ".join(f"`{name}`" for name in near) + "?" if near else ""
        listed = " GET /v1/models lists those that do."
        super().__init__(f"The model `{model[:200]}` does not exist.{meant}{listed}")


class ModelCannot(ConsoleError):
    """The model is there, and no node that has it, be it here or away, answers at this path."""

    def __init__(self, model: str, path: str) -> None:
        super().__init__(f"The model `{model[:200]}` does not answer at {path} here.")


class Unserved(ConsoleError):
    """Every node that could have answered failed, or none is there: 503, try again later.

    Attributes:
        code: what became of the last attempt, `no_node_available` if there was none.
        retry_after_seconds: what `Retry-After` says.
    """

    def __init__(self, code: str, message: str, retry_after_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


REFUSED: Final = "node_unavailable"
RECLAIMED: Final = "node_reclaimed"

_CODES: Final = {
    ResetCode.REFUSED: REFUSED,
    ResetCode.ENGINE_ERROR: "engine_error",
    ResetCode.TIMED_OUT: "upstream_timeout",
    ResetCode.LOST: "upstream_lost",
    ResetCode.HANDED_BACK: RECLAIMED,
}
_TEXTS: Final = {
    REFUSED: "The node that was asked could not take the request, and no other did.",
    "engine_error": "The engine that was answering failed.",
    "upstream_timeout": "The node that was answering took too long.",
    "upstream_lost": "The node that was answering was lost.",
    "upstream_error": "The node that was answering failed.",
    RECLAIMED: "The machine that was answering is its owner's again. Try again.",
    "no_node_available": "No node that serves this model is available now. Try again shortly.",
    "nodes_away": "No node that serves this model takes requests now: they are drained, or "
    "their owners use or have paused them. Try again later.",
}


def code_of(reset: ResetCode) -> str:
    """The code that a client is told for a stream that was cut."""
    return _CODES.get(reset, "upstream_error")


def text_of(code: str) -> str:
    """The sentence that goes with one of our codes."""
    return _TEXTS[code]


def until_back(away: Sequence[Availability], now_ms: int) -> int:
    """Seconds until the first of those that are away may serve again, as far as they said."""
    told = [each.until_ms for each in away if each.until_ms is not None]
    if not told:
        return AWAY_SECONDS
    return min(AWAY_LIMIT_SECONDS, max(1, math.ceil((min(told) - now_ms) / 1000)))


def event(code: str, dialect: Dialect, number: int) -> bytes:
    """A failure in the middle of a stream; `number` is the event's own in the responses dialect."""
    message = text_of(code)
    if dialect == "responses":
        told = {
            "type": "error",
            "code": code,
            "message": message,
            "param": None,
            "sequence_number": number,
        }
        return b"event: error\ndata: %b\n\n" % _encode(told)
    return b"data: %b\n\n" % _encode(openai_error(message, type="server_error", code=code))


def event_of(body: bytes, dialect: Dialect) -> bytes:
    """A node's error object as the event that ends a stream which had been opened already."""
    told = json.loads(body)
    if dialect != "responses":
        return b"data: %b\n\n" % _encode(told)
    error = {"type": "error", "sequence_number": 0, "param": None, "code": None}
    inner = told["error"]
    error.update({name: inner.get(name) for name in ("message", "param", "code")})
    return b"event: error\ndata: %b\n\n" % _encode(error)


def refused(status: int, message: str) -> Answer:
    """What was no proper HTTP request."""
    return _answer(status, message, "invalid_request_error")


def internal() -> Answer:
    """A fault of our own; the log has it under the request's id."""
    message = "The server had an error while processing your request."
    return _answer(500, message, "server_error", code="internal_error")


_PLAIN: Final[dict[type[ConsoleError], tuple[int, str | None, str | None]]] = {
    Unauthenticated: (401, None, "invalid_api_key"),
    Forbidden: (403, None, "model_not_allowed"),
    ModelUnknown: (404, "model", "model_not_found"),
    ModelCannot: (404, "model", None),  # as OpenAI has it for a chat model asked at another path
    RouteUnknown: (404, None, "unknown_url"),
    MethodRefused: (405, None, "method_not_supported"),
    MediaRefused: (415, None, "unsupported_media_type"),
}
"""Status, param and code of what needs no more than these."""


def answer_to(error: RequestInvalid | ConsoleError) -> Answer:
    """The answer for what was raised on purpose while a request was looked at."""
    match error:
        case RequestInvalid():
            return _answer(
                error.status, str(error), "invalid_request_error", error.param, error.code
            )
        case LimitExceeded() | TooManyAttempts():
            return _limited(error)
        case Unserved():
            return _unserved(str(error), error.code, error.retry_after_seconds)
        case LedgerUnavailable():
            return _unserved("Requests cannot be booked now. Try again shortly.", "not_bookable")
    if type(error) not in _PLAIN:
        return internal()
    status, param, code = _PLAIN[type(error)]
    return _answer(status, str(error), "invalid_request_error", param, code, _headers_of(error))


def _headers_of(error: ConsoleError) -> tuple[Header, ...]:
    if isinstance(error, MethodRefused):
        return ((b"allow", error.allowed.encode()),)
    return ((b"www-authenticate", b"Bearer"),) if isinstance(error, Unauthenticated) else ()


def _limited(error: LimitExceeded | TooManyAttempts) -> Answer:
    told = error.headers if isinstance(error, LimitExceeded) else {}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_seconds))))
    return _answer(429, str(error), "requests", code="rate_limit_exceeded", headers=tuple(headers))


def _unserved(message: str, code: str, seconds: int = RETRY_SECONDS) -> Answer:
    retry = ((b"retry-after", b"%d" % seconds),)
    return _answer(503, message, "server_error", code=code, headers=retry)


def _answer(
    status: int,
    message: str,
    kind: str,
    param: str | None = None,
    code: str | None = None,
    headers: tuple[Header, ...] = (),
) -> Answer:
    return Answer(
        status, _encode(openai_error(message, type=kind, param=param, code=code)), headers
    )


def _encode(told: dict[str, Any]) -> bytes:
    # ASCII only: a message may repeat a caller's own text, halves of surrogate pairs included.
    return json.dumps(told).encode()

"""What the local /v1 says besides an engine's own answers, in OpenAI's forms; pure."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from byoi_agent.serving.rooms import askable
from byoi_wire.messages import ResetCode
from byoi_wire.requests import openai_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from byoi_agent.engine.view import EngineView, ServedModel
    from byoi_wire.requests import Dialect, RequestInvalid

RETRY_SECONDS: Final = 5
_NEAR: Final = 3
_KINDS: Final = {429: "requests"}


class Fault(NamedTuple):
    """A request that comes to nothing: a status, and OpenAI's error object as bytes."""

    status: int
    body: bytes


def models_of(views: Iterable[EngineView]) -> list[ServedModel]:
    """What can be asked for, loaded or to be loaded, each once."""
    return list({model.id: model for view in views for model in askable(view)}.values())


def listed(models: Iterable[ServedModel]) -> bytes:
    """The answer to `GET /v1/models`."""
    return _encode({"object": "list", "data": [_model(model) for model in models]})


def described(models: Iterable[ServedModel], name: str) -> bytes | None:
    """The answer to `GET /v1/models/{id}`; None where there is no such model."""
    found = next((model for model in models if model.id == name), None)
    return None if found is None else _encode(_model(found))


def fault(status: int, message: str, code: str | None, param: str | None = None) -> Fault:
    """An error of ours."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")  # noqa: PLR2004
    return Fault(status, _encode(openai_error(message, type=kind, param=param, code=code)))


def invalid(error: RequestInvalid) -> Fault:
    """The request itself must change."""
    return fault(error.status, str(error), error.code, error.param)


def unknown_model(name: str, models: Iterable[ServedModel]) -> Fault:
    """With the names that are nearest to it."""
    near = difflib.get_close_matches(name, [model.id for model in models], _NEAR)
    meant = " Did you mean " + " or ".join(f"`{one}`" for one in near) + "?" if near else ""
    listed_by = " GET /v1/models lists those that are here."
    message = f"The model `{name[:200]}` is not on this node.{meant}{listed_by}"
    return fault(404, message, "model_not_found", "model")


def refused(reason: str) -> Fault:
    """It was not let in, or sent back before the engine had it."""
    status, message = _REFUSED.get(reason, _NOT_READY)
    return fault(status, message, reason)


def cut(code: ResetCode, reason: str) -> Fault:
    """It failed while it ran."""
    if code is ResetCode.REFUSED:
        return refused(reason)
    status, message, name = _CUT.get(code, _BROKEN)
    return fault(status, message, name)


def event_of(body: bytes, dialect: Dialect) -> bytes:
    """An error object as the event that ends a stream which has begun."""
    told = json.loads(body)
    if dialect != "responses":
        return b"data: %b\n\n" % _encode(told)
    error = {"type": "error", "sequence_number": 0}
    error.update({name: told["error"].get(name) for name in ("message", "param", "code")})
    return b"event: error\ndata: %b\n\n" % _encode(error)


def _model(model: ServedModel) -> dict[str, Any]:
    return dict(_fields(model))


def _fields(model: ServedModel) -> Iterator[tuple[str, Any]]:
    """As a console lists it, and whether a request would wait for it to be loaded."""
    yield from (("id", model.id), ("object", "model"), ("created", model.created_at))
    yield from (("owned_by", "byoi"), ("context_length", model.context_tokens))
    yield from (("features", list(model.features)), ("is_loaded", model.is_loaded))
    if model.base is not None:
        yield from (("root", model.base), ("parent", model.base))


_NOT_READY: Final = (
    503,
    "The engine does not serve now; `byoi status` tells why. Try again shortly.",
)
_REFUSED: Final = {
    "draining": (503, "The node stops. Try again once it runs."),
    "over_capacity": (429, "Too many of your own requests wait already. Try again shortly."),
    "deadline_passed": (504, "No slot came free in time."),
    "body_too_large": (413, "The body is too large."),
    "no_such_model": (404, "The model does not answer at this address, or is not here any more."),
}
_CUT: Final = {
    ResetCode.ENGINE_ERROR: (502, "The engine that was answering failed.", "engine_error"),
    ResetCode.TIMED_OUT: (504, "The engine took too long.", "engine_timeout"),
}
_BROKEN: Final = (500, "The node failed at this request; its log tells more.", "internal_error")


def _encode(told: dict[str, Any]) -> bytes:
    # ASCII only: a message may repeat a caller's own text, halves of surrogate pairs included.
    return json.dumps(told).encode()

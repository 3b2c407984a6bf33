"""A request as it may reach the engine: checked again, as a node does not trust its console."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoi_agent.errors import RequestRefused
from byoi_agent.serving.rooms import askable
from byoi_wire.requests import (
    BODY_LIMIT_BYTES,
    ROUTES,
    check,
    decode_body,
    encode_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.view import EngineView, ServedModel
    from byoi_wire.messages import OpenHead
    from byoi_wire.requests import Dialect, RequestRoute

SALT_FIELD = "cache_salt"
"""An engine kind that lists it among its extra fields gets ours; a client's never passes."""

PRIORITY_FIELD = "priority"
"""An engine kind that lists it among its extra fields takes who has a lower number first."""

_OWN_PRIORITY = -1
"""The owner's; everybody else has the engine's default, 0."""

_OURS = frozenset({SALT_FIELD, PRIORITY_FIELD})

_TICKET_LIMIT = 4096
_REQUEST_ID_LIMIT = 256


@dataclass(frozen=True)
class PreparedRequest:
    """What goes to the engine, and what must be known to read its answer.

    `hides_usage` is set where the client did not ask for the usage event that we ask for; `choices`
    is how many answers the engine gives at once.
    """

    path: str
    dialect: Dialect
    body: bytes
    dropped: tuple[str, ...]
    streams: bool
    hides_usage: bool
    choices: int


def model_for(head: OpenHead, view: EngineView | None) -> ServedModel:
    """The model that this request is for, loaded or to be loaded.

    Raises:
        RequestRefused: not servable here now, or nothing that a node serves at all.
    """
    if head.path not in ROUTES or head.websocket:
        raise RequestRefused("no_such_route")
    if head.body_bytes > BODY_LIMIT_BYTES:
        raise RequestRefused("body_too_large")
    if len(head.ticket) > _TICKET_LIMIT or len(head.request_id) > _REQUEST_ID_LIMIT:
        raise RequestRefused("head_too_large")
    models = () if view is None else askable(view)
    if not models and (view is None or view.state != "ready"):
        raise RequestRefused("engine_not_ready")
    for model in models:
        if model.id == head.model and head.path in model.routes:
            return model
    raise RequestRefused("no_such_model")


def prepare(
    head: OpenHead,
    raw: bytes,
    model: ServedModel,
    *,
    extra_fields: frozenset[str],
    salt: str,
    is_own: bool = False,
) -> PreparedRequest:
    """Check every field; the body stays as it came, byte for byte, unless something must change.

    `salt` keeps this tenant's prompts apart in the engine's prefix cache; `is_own`: the machine's
    owner asks, who goes before others where the engine can tell.

    Raises:
        RequestInvalid: the client must change the request; say so in OpenAI's error object.
    """
    route = ROUTES[head.path]
    given = decode_body(raw)
    checked = check(route, given, allowed_extra=extra_fields - _OURS)
    streams = route.streams and checked.body.get("stream") is True
    asks_usage = _asks_usage(checked.body)
    must_ask = streams and not asks_usage and route.dialect in {"chat", "completion"}
    changes = _changes(checked.body, model, must_ask=must_ask)
    if SALT_FIELD in extra_fields:
        changes[SALT_FIELD] = salt
    if is_own and PRIORITY_FIELD in extra_fields:
        changes[PRIORITY_FIELD] = _OWN_PRIORITY
    is_as_it_came = not changes and not checked.dropped and not _has_repeated_names(raw)
    return PreparedRequest(
        path=head.path,
        dialect=route.dialect,
        body=raw if is_as_it_came else encode_body({**checked.body, **changes}),
        dropped=checked.dropped,
        streams=streams,
        hides_usage=must_ask,
        choices=_choices(route, checked.body),
    )


def _asks_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options") or {}
    return options.get("include_usage") is True


def _changes(body: Mapping[str, Any], model: ServedModel, *, must_ask: bool) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if body["model"] != model.engine_id:
        changes["model"] = model.engine_id
    if must_ask:
        changes["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return changes


def _choices(route: RequestRoute, body: Mapping[str, Any]) -> int:
    prompt = body.get("prompt")
    is_batch = isinstance(prompt, list) and bool(prompt) and isinstance(prompt[0], str | list)
    prompts = len(prompt) if is_batch and prompt else 1
    return prompts * int(body.get("n") or 1) if route.dialect in {"chat", "completion"} else 1


def _has_repeated_names(raw: bytes) -> bool:
    """Whether an object names a field twice: the engine might read the one that was not checked."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    json.loads(raw, object_pairs_hook=look)
    return repeated

"""What a plain answer, whole in one JSON body, says of its own use and end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from byoi_agent.usage.counts import output_pieces_of, pieces_of, usage_of

if TYPE_CHECKING:
    from byoi_wire.requests import Dialect
    from byoi_wire.usage import Usage


class AnswerFacts(NamedTuple):
    """`failure` is for the local log only; it is None for an answer that is whole and good."""

    usage: Usage | None = None
    finish_reason: str | None = None
    text: str = ""
    failure: str | None = None


def read_answer(dialect: Dialect, body: bytes) -> AnswerFacts:
    """Judge a plain answer of status 200."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return AnswerFacts(failure="the answer is not JSON")
    if not isinstance(value, Mapping):
        return AnswerFacts(failure="the answer is not a JSON object")
    if error := value.get("error"):
        return AnswerFacts(failure=f"the answer holds an error: {error}")
    usage = usage_of(value.get("usage"))
    match dialect:
        case "embeddings":
            failure = None if isinstance(value.get("data"), list) else "no data in the answer"
            return AnswerFacts(usage, failure=failure)
        case "responses":
            return _response(value, usage)
        case _:
            return _choices(value, usage)


def _response(value: Mapping[str, Any], usage: Usage | None) -> AnswerFacts:
    status = value.get("status")
    text = "".join(output_pieces_of(value))
    if status not in {"completed", "incomplete"}:
        return AnswerFacts(usage, text=text, failure=f"the response's status is {status}")
    return AnswerFacts(usage, str(status), text)


def _choices(value: Mapping[str, Any], usage: Usage | None) -> AnswerFacts:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        return AnswerFacts(usage, failure="no choices in the answer")
    reasons = [c.get("finish_reason") if isinstance(c, Mapping) else None for c in choices]
    text = "".join(piece for c in choices if isinstance(c, Mapping) for piece in pieces_of(c))
    if not all(isinstance(reason, str) for reason in reasons):
        return AnswerFacts(usage, text=text, failure="a choice without finish_reason")
    return AnswerFacts(usage, reasons[0], text)

"""How an attempt ended: decided once, turned into a record and into the stream's last words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_wire.messages import ResetCode
from byoi_wire.requests import openai_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_wire.requests import RequestInvalid
    from byoi_wire.usage import Outcome

JSON_TYPE: Final = "application/json"
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Ending:
    """`reason` is for the peer, never the engine's own words.

    Attributes:
        status: the HTTP status where none has been sent before.
        reset: how the stream is cut; None where it ends in good order.
        last: what may go out only after the record is durable.
        is_recorded: False where nothing ran, so that there is nothing to record.
        is_told: False where the peer has ended the stream itself.
        is_engines_fault: the engine is to be looked at.
        is_rejection: the engine, or we, refused the request; no token was used.
    """

    outcome: Outcome
    status: int
    error_code: str | None = None
    reset: ResetCode | None = None
    reason: str = ""
    last: bytes = b""
    content_type: str = JSON_TYPE
    is_recorded: bool = True
    is_told: bool = True
    is_engines_fault: bool = False
    is_rejection: bool = False


INTERNAL: Final = Ending(
    "failed", 500, "internal", ResetCode.INTERNAL, "the node failed at this request"
)
NODE_STOPS: Final = Ending(
    "failed", 503, "node_stopped", ResetCode.INTERNAL, "the node was stopped"
)
HANDED_BACK: Final = Ending(
    "failed", 503, "handed_back", ResetCode.HANDED_BACK, "the node's owner needs the machine"
)
BODY_MISMATCH: Final = Ending(
    "failed", 500, "body_mismatch", ResetCode.INTERNAL, "the body is not what its head says"
)
BODY_LATE: Final = Ending(
    "failed", 504, "body_late", ResetCode.TIMED_OUT, "the request's body did not come"
)
DEADLINE: Final = Ending("failed", 504, "deadline", ResetCode.TIMED_OUT, "the deadline has passed")
ENGINE_SILENT: Final = Ending(
    "failed",
    504,
    "engine_silent",
    ResetCode.TIMED_OUT,
    "the engine was silent for too long",
    is_engines_fault=True,
)
ENGINE_FAILED: Final = Ending(
    "failed",
    502,
    "engine_error",
    ResetCode.ENGINE_ERROR,
    "the engine failed",
    is_engines_fault=True,
)
ENGINE_BUSY: Final = Ending(
    # Nothing ran and nothing broke: not an engine's death of which requests are suspected.
    "failed",
    503,
    "engine_not_ready",
    ResetCode.REFUSED,
    "the engine is busy",
    is_recorded=False,
    is_rejection=True,
)


def complete(last: bytes, content_type: str) -> Ending:
    """The answer is whole; `last` is what was held back of it."""
    return Ending("complete", 200, last=last, content_type=content_type)


def refused(reason: str) -> Ending:
    """Not here after all; nothing has reached the engine and nothing is recorded."""
    return Ending("failed", 503, reason, reset=ResetCode.REFUSED, reason=reason, is_recorded=False)


def invalid(error: RequestInvalid) -> Ending:
    """The client must change its request."""
    return rejected(
        error.status,
        openai_error(
            error.message, type="invalid_request_error", param=error.param, code=error.code
        ),
    )


def rejected(status: int, error: Mapping[str, Any]) -> Ending:
    """An error in OpenAI's form; one that is not the client's fault may be tried elsewhere."""
    if status >= _SERVER_ERROR:
        return ENGINE_BUSY if status == ENGINE_BUSY.status else ENGINE_FAILED
    code = error.get("error", {}).get("code") or "invalid_request"
    last = json.dumps(error, separators=(",", ":")).encode()
    return Ending("failed", status, code, last=last, is_rejection=True)


def cut_by_peer(code: ResetCode, *, has_begun: bool) -> Ending:
    """The other side ended the stream, or the link is gone for good."""
    status = 200 if has_begun else 499
    if code in {ResetCode.NO_ERROR, ResetCode.CANCELLED}:
        return Ending("cancelled", status, is_told=False)
    error_code = "link_lost" if code is ResetCode.LOST else code.name.lower()
    return Ending("failed", status, error_code, is_told=False)

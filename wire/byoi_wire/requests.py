"""The routes that pass through to engines, field by field; gateway and node both go by this table.

Every field of a request is passed (an engine honours it), dropped (OpenAI knows it, it has no
effect here, the answer names it) or refused by name. So nothing that a consumer writes can steer
an engine beyond what is listed.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from byoi_wire import request_content as content
from byoi_wire import request_tools as tools
from byoi_wire.request_rules import (
    Check,
    RequestInvalid,
    anything,
    array,
    boolean,
    integer,
    missing,
    number,
    one_of,
    record,
    refuse_field,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EXTRA_FIELDS",
    "ROUTES",
    "CheckedRequest",
    "FieldRule",
    "RequestInvalid",
    "RequestRoute",
    "check",
    "decode_body",
    "encode_body",
    "openai_error",
]

BODY_LIMIT_BYTES: Final = 8 * 1024 * 1024
DEPTH_LIMIT: Final = 64
CHOICES_LIMIT: Final = 8
TOKENS_LIMIT: Final = 2**31 - 1

Dialect = Literal["chat", "completion", "responses", "embeddings"]


class FieldRule(NamedTuple):
    """What one field may hold, and whether it goes on to the engine."""

    check: Check
    passed: bool = True
    required: bool = False


class RequestRoute(NamedTuple):
    """One pass-through route.

    `usage_path` is where the token counts stand in a stream's event, keys from the outermost in; a
    plain answer has them under `usage` on every route.
    """

    path: str
    dialect: Dialect
    fields: Mapping[str, FieldRule]
    usage_path: tuple[str, ...] = ("usage",)
    streams: bool = True


class CheckedRequest(NamedTuple):
    """A request of which every field has been looked at.

    `body` holds only what is passed; `dropped` names what was left out, in the order it came.
    """

    body: dict[str, Any]
    dropped: tuple[str, ...]


def openai_error(
    message: str,
    *,
    type: str,  # noqa: A002 - the name that OpenAI gives the field
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    """OpenAI's error object, as both sides write it."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def decode_body(data: bytes) -> dict[str, Any]:
    """A request's bytes as an object that every later reader sees the same way.

    Raises:
        RequestInvalid: not UTF-8, not JSON, NaN or infinite numbers, half a surrogate pair, nested
            deeper than 64, or not an object at the top.
    """
    try:
        text = data.decode()
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise RequestInvalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload.)"
        ) from error
    if not isinstance(value, dict):
        raise RequestInvalid("The body of the request must be a JSON object.")
    _check_values(value, escapes="\\u" in text)
    return value


def encode_body(body: Mapping[str, Any]) -> bytes:
    """A checked body as the bytes that go on."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def check(
    route: RequestRoute, body: Mapping[str, Any], *, allowed_extra: frozenset[str] = frozenset()
) -> CheckedRequest:
    """Sort a request's fields into passed and dropped.

    `allowed_extra` names the fields beyond OpenAI's that may pass (of `EXTRA_FIELDS`). A field that
    is null counts as absent, as it does at OpenAI.

    Raises:
        RequestInvalid: a field is unknown, missing or holds what it must not; `param` names it.
    """
    passed: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in body.items():
        rule = route.fields.get(name)
        if rule is None and name in allowed_extra and route.dialect != "embeddings":
            rule = EXTRA_FIELDS.get(name)
        if rule is None:
            refuse_field(name)
        if value is None:
            continue
        rule.check(value, name)
        if rule.passed:
            passed[name] = value
        else:
            dropped.append(name)
    for name, rule in route.fields.items():
        if rule.required and name not in passed:
            missing(name)
    return CheckedRequest(passed, tuple(dropped))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _too_deep() -> RequestInvalid:
    return RequestInvalid(f"The body is nested deeper than {DEPTH_LIMIT} levels.")


def _check_values(top: dict[str, Any], *, escapes: bool) -> None:
    """Look at every value once: depth, infinite numbers (1e999), halves of surrogate pairs."""
    level: list[Any] = [top]
    for _ in range(DEPTH_LIMIT):
        inner: list[Any] = []
        for container in level:
            values = container
            if isinstance(container, dict):
                values = container.values()
                if escapes:
                    _check_text("".join(container))
            for value in values:
                if isinstance(value, dict | list):
                    inner.append(value)
                elif escapes and isinstance(value, str):
                    _check_text(value)
                elif isinstance(value, float) and not math.isfinite(value):
                    raise RequestInvalid("The body holds a number that is too large.")
        if not inner:
            return
        level = inner
    raise _too_deep()


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestInvalid("The body holds half of a surrogate pair.") from error


def _passed(**checks: Check) -> dict[str, FieldRule]:
    return {name: FieldRule(check) for name, check in checks.items()}


def _required(**checks: Check) -> dict[str, FieldRule]:
    return {name: FieldRule(check, required=True) for name, check in checks.items()}


def _dropped(*names: str) -> dict[str, FieldRule]:
    return {name: FieldRule(anything, passed=False) for name in names}


_TOKENS: Final = integer(1, TOKENS_LIMIT)
_EFFORT: Final = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")
_STREAM_OPTIONS: Final = record({"include_usage": boolean, "include_obfuscation": boolean})

_SAMPLING: Final = _passed(
    temperature=number(0, 2),
    top_p=number(0, 1),
    stream=boolean,
)
_DECODING: Final = _passed(
    frequency_penalty=number(-2, 2),
    presence_penalty=number(-2, 2),
    logit_bias=content.logit_bias,
    n=integer(1, CHOICES_LIMIT),
    seed=integer(-(2**63), 2**63 - 1),
    stop=content.stop,
    stream_options=_STREAM_OPTIONS,
)
_NO_EFFECT: Final = _dropped(
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
)
_MODEL: Final = _required(model=string(256))

_CHAT: Final = RequestRoute(
    "/v1/chat/completions",
    "chat",
    {
        **_MODEL,
        **_required(messages=content.messages),
        **_SAMPLING,
        **_DECODING,
        **_passed(
            max_completion_tokens=_TOKENS,
            max_tokens=_TOKENS,
            logprobs=boolean,
            top_logprobs=integer(0, 20),
            reasoning_effort=_EFFORT,
            response_format=tools.response_format,
            tools=tools.tools,
            tool_choice=tools.tool_choice,
            parallel_tool_calls=boolean,
        ),
        **_NO_EFFECT,
        **_dropped("prediction", "verbosity"),
        "modalities": FieldRule(content.text_only, passed=False),
    },
)

_COMPLETION: Final = RequestRoute(
    "/v1/completions",
    "completion",
    {
        **_MODEL,
        **_required(prompt=content.prompt),
        **_SAMPLING,
        **_DECODING,
        **_passed(
            best_of=integer(1, CHOICES_LIMIT),
            echo=boolean,
            logprobs=integer(0, 5),
            max_tokens=integer(0, TOKENS_LIMIT),
            suffix=string(content.TEXT_LIMIT),
        ),
        **_NO_EFFECT,
    },
)

_EMBEDDINGS: Final = RequestRoute(
    "/v1/embeddings",
    "embeddings",
    {
        **_MODEL,
        **_required(input=content.embedding_input),
        **_passed(encoding_format=one_of("float", "base64"), dimensions=integer(1, 65536)),
        **_NO_EFFECT,
    },
    streams=False,
)

_RESPONSES: Final = RequestRoute(
    "/v1/responses",
    "responses",
    {
        **_MODEL,
        **_required(input=content.response_input),
        **_SAMPLING,
        **_passed(
            instructions=string(content.TEXT_LIMIT),
            max_output_tokens=_TOKENS,
            parallel_tool_calls=boolean,
            reasoning=record({"effort": _EFFORT, "summary": one_of("auto", "concise", "detailed")}),
            text=tools.response_text,
            tools=tools.response_tools,
            tool_choice=tools.response_tool_choice,
            top_logprobs=integer(0, 20),
            truncation=one_of("auto", "disabled"),
            include=array(one_of("message.output_text.logprobs", "reasoning.encrypted_content"), 8),
        ),
        **_NO_EFFECT,
        **_dropped("max_tool_calls", "stream_options"),
        "background": FieldRule(content.absent, passed=False),
    },
    usage_path=("response", "usage"),
)

ROUTES: Final[Mapping[str, RequestRoute]] = {
    route.path: route for route in (_CHAT, _COMPLETION, _EMBEDDINGS, _RESPONSES)
}
"""The pass-through routes by path; there are no others."""

EXTRA_FIELDS: Final[Mapping[str, FieldRule]] = _passed(
    top_k=integer(-1, 1_000_000),
    min_p=number(0, 1),
    typical_p=number(0, 1),
    repetition_penalty=number(0, 10),
    repeat_penalty=number(0, 10),
    min_tokens=integer(0, TOKENS_LIMIT),
    ignore_eos=boolean,
    continue_final_message=boolean,
    add_generation_prompt=boolean,
    chat_template_kwargs=content.template_choices,
)
"""Fields beyond OpenAI's that some engine honours and that harm none; each kind lists its own."""

"""The nested parts of a request that a model reads: messages, media, prompts.

Everything here is a list of what may pass. An engine reads more than OpenAI documents: it takes
content parts without a `type`, embeddings as pickles, grammars, and URLs that it fetches itself;
none of that is in the lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from byoi_wire.request_rules import (
    Check,
    anything,
    array,
    boolean,
    integer,
    list_of,
    number,
    object_of,
    one_of,
    record,
    refuse,
    string,
    tagged,
    text_of,
    wrong_type,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


MESSAGES_LIMIT: Final = 4096
CALLS_LIMIT: Final = 128
PARTS_LIMIT: Final = 1024
BIASES_LIMIT: Final = 1024
PROMPTS_LIMIT: Final = 64
INPUTS_LIMIT: Final = 2048
"""How many texts one embeddings request may hold; OpenAI's number."""

TEXT_LIMIT: Final = 8 * 1024 * 1024
"""No string is longer than the body that holds it."""

_text: Final = string(TEXT_LIMIT)
_name: Final = string(256)


def media_url(value: object, place: str) -> None:
    """A picture, a sound or a file that comes along as `data:`; nothing is ever fetched."""
    text = text_of(value, place, TEXT_LIMIT)
    if not text.startswith("data:"):
        refuse(place, "only 'data:' URLs are accepted here, nothing is fetched", "invalid_media")


def _media_object(value: object, place: str) -> None:
    """OpenAI's `image_url` object; engines also take the bare string."""
    if isinstance(value, str):
        media_url(value, place)
    else:
        record({"url": media_url, "detail": _detail}, "url")(value, place)


_detail: Final = one_of("auto", "low", "high", "original")
_type: Final = _name

_PARTS: Final[Mapping[str, Check]] = {
    "text": record({"type": _type, "text": _text}, "text"),
    "refusal": record({"type": _type, "refusal": _text}, "refusal"),
    "image_url": record({"type": _type, "image_url": _media_object}, "image_url"),
    "input_audio": record(
        {"type": _type, "input_audio": record({"data": _text, "format": _name}, "data", "format")},
        "input_audio",
    ),
    "file": record(
        {
            "type": _type,
            "file": record({"filename": _name, "file_data": media_url}, "file_data"),
        },
        "file",
    ),
}

_RESPONSE_PARTS: Final[Mapping[str, Check]] = {
    "input_text": record({"type": _type, "text": _text}, "text"),
    "output_text": record(
        {"type": _type, "text": _text, "annotations": anything, "logprobs": anything}, "text"
    ),
    "summary_text": record({"type": _type, "text": _text}, "text"),
    "reasoning_text": record({"type": _type, "text": _text}, "text"),
    "refusal": record({"type": _type, "refusal": _text}, "refusal"),
    "input_image": record({"type": _type, "image_url": media_url, "detail": _detail}, "image_url"),
    "input_file": record({"type": _type, "filename": _name, "file_data": media_url}, "file_data"),
}


def _content(parts: Mapping[str, Check]) -> Check:
    each = array(tagged(parts), PARTS_LIMIT)

    def check(value: object, place: str) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list):
            wrong_type(place, "a string or an array of content parts", value)
        each(value, place)

    return check


_called: Final = record({"name": _name, "arguments": _text}, "name", "arguments")
_tool_call: Final = record(
    {"id": _name, "type": one_of("function"), "function": _called, "index": integer(0, 1024)},
    "function",
)

messages: Final = array(
    record(
        {
            "role": one_of("developer", "system", "user", "assistant", "tool", "function"),
            "content": _content(_PARTS),
            "name": _name,
            "refusal": _text,
            "tool_calls": array(_tool_call, CALLS_LIMIT),
            "tool_call_id": _name,
            "reasoning_content": _text,
            "reasoning": _text,
            "annotations": array(anything, PARTS_LIMIT),
        },
        "role",
    ),
    MESSAGES_LIMIT,
    least=1,
)
"""The conversation of a chat request; an assistant's message may be sent back as it came."""

_parts: Final = array(tagged(_RESPONSE_PARTS), PARTS_LIMIT)
_item: Final = tagged(
    {
        "message": record(
            {
                "type": _type,
                "id": _name,
                "status": _name,
                "phase": _name,
                "role": one_of("developer", "system", "user", "assistant"),
                "content": _content(_RESPONSE_PARTS),
            },
            "role",
            "content",
        ),
        "function_call": record(
            {
                "type": _type,
                "id": _name,
                "status": _name,
                "call_id": _name,
                "name": _name,
                "arguments": _text,
            },
            "call_id",
            "name",
            "arguments",
        ),
        "function_call_output": record(
            {
                "type": _type,
                "id": _name,
                "status": _name,
                "call_id": _name,
                "output": _content(_RESPONSE_PARTS),
            },
            "call_id",
            "output",
        ),
        "reasoning": record(
            {
                "type": _type,
                "id": _name,
                "status": _name,
                "summary": _parts,
                "content": _parts,
                "encrypted_content": _text,
            }
        ),
    },
    fallback="message",
)
_items: Final = array(_item, MESSAGES_LIMIT, least=1)


def response_input(value: object, place: str) -> None:
    """`input` of the responses route: a string, or messages, calls and their outputs."""
    if not isinstance(value, str):
        _items(value, place)


def prompt(value: object, place: str) -> None:
    """What a completion goes on from: text or token ids, one or several."""
    _texts_or_tokens(value, place, PROMPTS_LIMIT)


def embedding_input(value: object, place: str) -> None:
    """What is embedded: text or token ids, one or several."""
    _texts_or_tokens(value, place, INPUTS_LIMIT)


def _texts_or_tokens(value: object, place: str, most: int) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        wrong_type(place, "a string or an array", value)
    if not value:
        refuse(place, "must not be empty", "array_below_min_length")
    if _are_tokens(value):
        return
    for index, element in enumerate(list_of(value, place, most)):
        if not isinstance(element, str) and not (
            isinstance(element, list) and _are_tokens(element)
        ):
            wrong_type(f"{place}[{index}]", "a string or an array of token ids", element)


def _are_tokens(values: list[object]) -> bool:
    """True for a list of token ids; compares exact types since a bool is an int as well."""
    return bool(values) and all(type(v) is int and 0 <= v < 2**31 for v in values)


def stop(value: object, place: str) -> None:
    """Up to four strings that end the answer."""
    if not isinstance(value, str):
        array(string(1024), 4)(value, place)


_bias: Final = number(-100, 100)


def logit_bias(value: object, place: str) -> None:
    """Token id to a bias from -100 to 100; OpenAI takes as many."""
    biases = object_of(value, place)
    if len(biases) > BIASES_LIMIT:
        refuse(place, f"more than {BIASES_LIMIT} tokens")
    for token, bias in biases.items():
        if not re.fullmatch("[0-9]{1,10}", token):
            refuse(place, "keys must be token ids")
        _bias(bias, place)


def template_choices(value: object, place: str) -> None:
    """The one thing that a caller may tell a chat template."""
    record({"enable_thinking": boolean})(value, place)


def text_only(value: object, place: str) -> None:
    """`modalities`, where it asks for nothing but text."""
    array(one_of("text"), 1, least=1)(value, place)


def absent(value: object, place: str) -> None:
    """Fields that would need a memory of earlier requests, which is not kept here."""
    if value is not False:
        refuse(place, "not available here, nothing is stored between requests")

"""An answer that one node began and another finishes: what is asked of it, and how the two join.

The text that the client has is put behind the request, as the beginning of the answer, and the
engine goes on from there. Only plain text can be continued so: one choice, no tools, no schema, no
log probabilities. What a client reads looks as if it came from one node. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from byoi_wire.http.sse import data_of, events
from byoi_wire.requests import encode_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_console.gateway.attempt import Call

KEPT_LIMIT_BYTES: Final = 1024 * 1024
"""An answer of which more was delivered is not continued: nobody keeps it."""

_CHAT: Final = "/v1/chat/completions"
_COMPLETIONS: Final = "/v1/completions"
_CHAT_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "llamacpp": {},
    "vllm": {"continue_final_message": True, "add_generation_prompt": False},
}
"""Engine kinds that continue a last message of the assistant, and what they need to be told."""

_HARMLESS: Final = frozenset(
    {
        *("model", "messages", "prompt", "stream", "stream_options", "max_tokens", "user"),
        *("max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "typical_p"),
        *("stop", "seed", "logit_bias", "n", "metadata", "store"),
    }
)
"""Fields with which the rest of an answer is the same whoever gives it. A penalty on what was said
before is none of them: the next engine does not know what the first one said."""

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_SAME: Final = ("id", "created", "model", "system_fingerprint")


def may_continue(path: str, body: Mapping[str, Any]) -> bool:
    """Whether another node could finish a streamed answer to this request."""
    if body.get("n") not in {None, 1} or not _HARMLESS.issuperset(body):
        return False
    if path == _COMPLETIONS:
        # Without a limit an engine's own default holds, which would begin anew.
        return isinstance(body.get("prompt"), str) and isinstance(body.get("max_tokens"), int)
    messages = body.get("messages")
    if path != _CHAT or not isinstance(messages, list) or not messages:
        return False
    return isinstance(messages[-1], dict) and messages[-1].get("role") != "assistant"


class Continuation:
    """Sole owner of what a client has of one streamed answer, as far as it may be continued."""

    __slots__ = ("_call", "_first", "_kept", "_size", "_text", "_tokens")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._kept: list[bytes] | None = [] if call.may_continue else None
        self._size = 0
        self._first: dict[str, Any] = {}
        self._text = ""
        self._tokens = 0

    @property
    def has_begun(self) -> bool:
        """Whether one node's part is there and another's is to follow."""
        return bool(self._text)

    def passing(self, block: bytes) -> bytes:
        """Events on their way to the client, as it shall read them."""
        if self._text:
            block = b"".join(map(self._joined, events(block)))
        if self._kept is not None:
            self._kept.append(block)
            self._size += len(block)
            if self._size > KEPT_LIMIT_BYTES:
                self._kept = None
        return block

    def cut(self, content_events: int) -> bool:
        """The node is lost in the middle; whether another can go on from here.

        `content_events` of its part have reached the client.
        """
        if self._kept is None:
            return False
        text = ""
        for event in events(b"".join(self._kept)):
            told = _parsed(event)
            if told is None:
                continue
            piece = _piece(told)
            if piece is None:
                return False
            self._first = self._first or {name: told[name] for name in _SAME if name in told}
            text += piece
        self._text = text
        self._tokens += content_events
        return bool(text) and self._left() != 0

    def fits(self, engine: str) -> bool:
        """Whether an engine of that kind can go on with it."""
        if not self._text or self._call.route.path == _COMPLETIONS:
            return True
        return engine in _CHAT_FIELDS

    def call_for(self, engine: str) -> Call:
        """What is asked of the next node: all of the request, or for the rest of the answer."""
        call = self._call
        if not self._text:
            return call
        body = json.loads(call.body)
        if call.route.path == _COMPLETIONS:
            body["prompt"] += self._text
        else:
            said = {"role": "assistant", "content": self._text}
            body = {**body, "messages": [*body["messages"], said], **_CHAT_FIELDS[engine]}
        for name in _LIMITS:
            if name in body:
                body[name] = self._left()
        return call._replace(body=encode_body(body), keeps_usage=True)

    def _left(self) -> int | None:
        """Tokens that the rest may have; None: as many as it wants."""
        body = json.loads(self._call.body)
        told = [body[name] for name in _LIMITS if isinstance(body.get(name), int)]
        return max(0, min(told) - self._tokens) if told else None

    def _joined(self, event: bytes) -> bytes:
        """An event of a later part as one of the first; b"" where it says nothing new."""
        told = _parsed(event)
        if told is None:
            return event
        told.update(self._first)
        if not told.get("choices"):
            if not self._call.keeps_usage or not isinstance(told.get("usage"), dict):
                return b""
            told["usage"] = self._summed(told["usage"])
        elif (choice := _only_choice(told)) and isinstance(delta := choice.get("delta"), dict):
            delta.pop("role", None)
            if not any(delta.values()) and not choice.get("finish_reason"):
                return b""
        return b"data: %b\n\n" % json.dumps(told, separators=(",", ":")).encode()

    def _summed(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Of all parts: what the client has is no part of its prompt."""
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        own = max(0, prompt - self._tokens)
        kept = {name: value for name, value in usage.items() if name != "prompt_tokens_details"}
        return {
            **kept,
            "prompt_tokens": own,
            "completion_tokens": prompt - own + completion,
            "total_tokens": prompt + completion,
        }


def _piece(told: dict[str, Any]) -> str | None:
    """The text of an event; None: it is more than text, or the last one."""
    if told.get("choices") == []:
        return ""
    choice = _only_choice(told)
    if choice is None or choice.get("finish_reason"):
        return None
    delta = choice.get("delta") or {}
    if not isinstance(delta, dict):
        return None
    if any(value for name, value in delta.items() if name not in {"role", "content"}):
        return None
    text = (choice["text"] if "text" in choice else delta.get("content")) or ""
    return text if isinstance(text, str) else None


def _only_choice(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a node sends may be of any shape."""
    choices = told.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        return None
    return choices[0] if isinstance(choices[0], dict) else None


def _parsed(event: bytes) -> dict[str, Any] | None:
    """An event's object; None: a comment, or the end."""
    try:
        told = json.loads(data_of(event))
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and value >= 0 else 0

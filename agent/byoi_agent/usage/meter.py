"""Sees a streamed answer pass, event by event, and keeps what its usage record needs.

Three ways, each slower and rarer than the one before: an event that differs from the last plain one
in its text only is known by its beginning and end; one is plain if a few substrings say so; JSON is
read only where an event may carry usage, an ending or an error. A name with its colon, such as
`"error":`, cannot stand inside a JSON string, where every quote is escaped; so text that a model
writes never looks like one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.usage.counts import pieces_of, usage_of
from byoi_wire.http.sse import data_of, events

if TYPE_CHECKING:
    from byoi_wire.requests import Dialect
    from byoi_wire.usage import Usage

TEXT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Of an answer longer than this only the events are counted, should it be cut."""

CHOICES_LIMIT: Final = 1024
"""More than any request can ask for: prompts times choices of each."""

_CHOICE_TEXT: Final = (b'"content":', b'"reasoning_content":', b'"reasoning":', b'"arguments":')
_TEXT_NAMES: Final[Mapping[str, tuple[bytes, ...]]] = {
    "chat": _CHOICE_TEXT,
    "completion": (b'"text":',),
    "responses": (b'"delta":',),
    "embeddings": (),
}
_QUOTE, _BACKSLASH, _LF, _CR = b'"\\\n\r'
_NO_EVENT: Final = b"\0"  # what no block ends with
_ENDINGS: Final = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
}


class StreamMeter:
    """Sole owner of what is known of one streamed answer.

    Attributes:
        usage: the engine's own counts, once it has told them.
        finish_reason: how the model ended, once it has.
        failure: what went wrong, for the local log only; nothing goes on after it.
        content_events: how many events carried generated text.
        first_content_at: when the first of them came, in the caller's `now`.
        is_over: the engine has said that nothing more comes.
        held: what must not go on before the record is durable.
    """

    def __init__(self, dialect: Dialect, *, hides_usage: bool = False, choices: int = 1) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.failure: str | None = None
        self.content_events = 0
        self.first_content_at: float | None = None
        self.is_over = False
        self.held = b""
        self._is_response = dialect == "responses"
        self._hides_usage = hides_usage
        self._dialect = dialect
        self._names: tuple[bytes, ...] | None = None
        self._may_skip = choices == 1
        self._has_choices = choices > 1
        self._before = self._after = _NO_EVENT
        self._started: set[int] = set()
        self._finished: set[int] = set()
        self._usage_event = b""
        self._has_usage_event = False
        self._text = bytearray()
        self._other_texts: dict[int, bytearray] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the answer is whole and good as far as it has come."""
        if self.failure is not None or self.finish_reason is None:
            return False
        return self._is_response or (self.is_over and self._started <= self._finished)

    @property
    def text(self) -> str | None:
        """All that was generated so far; None if it was too long to keep, or not JSON."""
        texts = [self._text, *self._other_texts.values()]
        if any(len(text) > TEXT_LIMIT_BYTES for text in texts):
            return None
        try:
            whole: str = json.loads(b'"%s"' % b"".join(texts), strict=False)
        except ValueError:
            return None
        return whole.encode(errors="replace").decode()

    def feed(self, block: bytes, now: float) -> bytes:
        """Note a block of whole events; returns what may go on now, usually the block itself."""
        if block.startswith(self._before) and block.endswith(self._after):
            text = block[len(self._before) : -len(self._after)]
            if not (_QUOTE in text or _LF in text or _CR in text):
                if text:
                    self._keep(text)
                    self._count(now)
                return block
        if self._may_skip and self._is_plain(block):
            self._note(block, now)
            return block
        passed = [event for event in events(block) if self._passes(event, now)]
        return b"".join(passed)

    def _is_plain(self, event: bytes) -> bool:
        """Whether this is one event of generated text and nothing else."""
        if _CR in event:
            return False
        if self._is_response:
            line = event.find(b"\n")
            return (
                event.startswith(b"event: response.")
                and event.startswith(b".delta", line - 6)
                and event.startswith(b"data: {", line + 1)
                and event.find(b"\n", line + 1) == len(event) - 2
            )
        find = event.find  # quicker than `in`
        return (
            find(b"\n") == len(event) - 2
            and (find(b'"finish_reason":null') > 0 or find(b'"finish_reason": null') > 0)
            and find(b'"error":') < 0
            and find(b'"usage":{') < 0
            and find(b'"usage": {') < 0
        )

    def _note(self, event: bytes, now: float) -> None:
        """Copy the generated text out of a plain event, still escaped as it is in JSON."""
        found = 0
        for name in self._names or self._find_names(event):
            start = event.find(name)
            while start >= 0:
                start += len(name)
                end = _end_of_string(event, start)
                if end > start:
                    found += 1
                    self._keep(event[start:end])
                    self._before, self._after = event[:start], event[end:]
                start = event.find(name, end)
        if found:
            self._count(now)
        if found > 1:  # its beginning holds text as well, which must not be skipped
            self._before = self._after = _NO_EVENT

    def _find_names(self, event: bytes) -> tuple[bytes, ...]:
        """An engine writes either all its names with a blank after the colon or none."""
        is_spaced = b'"choices": ' in event or b'"type": ' in event
        opening = b' "' if is_spaced else b'"'
        self._names = tuple(name + opening for name in _TEXT_NAMES[self._dialect])
        return self._names

    def _keep(self, escaped: bytes, index: int = 0) -> None:
        text = self._text if index == 0 else self._other_texts.setdefault(index, bytearray())
        if len(text) <= TEXT_LIMIT_BYTES:
            text += escaped

    def _count(self, now: float) -> None:
        self.content_events += 1
        if self.first_content_at is None:
            self.first_content_at = now

    def _passes(self, event: bytes, now: float) -> bool:
        """Note one event; False where it must be held back or never goes on."""
        if self.failure is not None or self.is_over:
            return False
        if self._may_skip and self._is_plain(event):
            self._note(event, now)
            return True
        return self._read(event, now)

    def _read(self, event: bytes, now: float) -> bool:
        """The slow way: False for an event that is held by now, or must never go on."""
        data = data_of(event)
        if data == b"[DONE]":
            self.is_over = True
            return self._holds(self._usage_event + event)
        if not data:
            return self._is_comment(event)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, Mapping):
            return self._fails("an event is not a JSON object")
        if error := value.get("error"):
            return self._fails(f"the engine reported an error: {error}")
        if self._is_response:
            return self._read_response(value, event, now)
        return self._read_choices(value, event, now)

    def _is_comment(self, event: bytes) -> bool:
        if all(line[:1] in {b":", b"", b"\r"} for line in event.split(b"\n")):
            return True
        return self._fails("an event without data")  # some engines name the field `error`

    def _read_choices(self, value: Mapping[str, Any], event: bytes, now: float) -> bool:
        usage = usage_of(value.get("usage"))
        choices = value.get("choices")
        self._note_usage(usage, is_alone=not choices)
        if not isinstance(choices, list):
            return self._fails("an event without choices")
        if not choices and usage is not None:
            # Held, and only the last: llama.cpp writes one for each choice, amid the others' text.
            self._usage_event = b"" if self._hides_usage else event
            return False
        has_text = False
        for choice in choices:
            index = choice.get("index", 0) if isinstance(choice, Mapping) else None
            if not isinstance(index, int) or index not in range(CHOICES_LIMIT):
                return self._fails("an event with a malformed choice")
            has_text |= self._note_choice(choice, index)
        if has_text:
            self._count(now)
        return True

    def _note_usage(self, usage: Usage | None, *, is_alone: bool) -> None:
        if usage is None:
            return
        if self._has_choices and is_alone and self._has_usage_event and self.usage is not None:
            both = self.usage.completion_tokens + usage.completion_tokens
            usage = usage.model_copy(update={"completion_tokens": both})
        self._has_usage_event = self._has_usage_event or is_alone
        self.usage = usage

    def _note_choice(self, choice: Mapping[str, Any], index: int) -> bool:
        self._started.add(index)
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finished.add(index)
            self.finish_reason = self.finish_reason or reason
        pieces = list(pieces_of(choice))
        for piece in pieces:
            self._keep(_escaped(piece), index)
        return bool(pieces)

    def _read_response(self, value: Mapping[str, Any], event: bytes, now: float) -> bool:
        kind = value.get("type")
        if kind in {"error", "response.failed"}:
            return self._fails(f"the engine reported {kind}: {value}")
        if kind in _ENDINGS:
            self.finish_reason = _ENDINGS[kind]
            response = value.get("response")
            if isinstance(response, Mapping):
                self.usage = usage_of(response.get("usage")) or self.usage
            return self._holds(event)
        if isinstance(kind, str) and kind.endswith(".delta"):
            delta = value.get("delta")
            if isinstance(delta, str) and delta:
                self._keep(_escaped(delta))
                self._count(now)
        return True

    def _holds(self, event: bytes) -> bool:
        self.held += event
        self._may_skip = False
        self._before = self._after = _NO_EVENT
        return False

    def _fails(self, reason: str) -> bool:
        self.failure = reason
        self._may_skip = False
        self._before = self._after = _NO_EVENT
        return False


def _escaped(text: str) -> bytes:
    return json.dumps(text).encode()[1:-1]


def _end_of_string(data: bytes, start: int) -> int:
    """Where the JSON string that began before `start` ends; `start` where it does not."""
    end = data.find(b'"', start)
    while end > start and data[end - 1] == _BACKSLASH:
        escapes = end - len(data[start:end].rstrip(b"\\")) - start
        if escapes % 2 == 0:
            return end
        end = data.find(b'"', end + 1)
    return max(end, start)

"""A node's events on their way to a client: whole, well-formed, counted, otherwise untouched.

An event that differs from a good one before it in its text only is known by its beginning and end.
Any other is a handful of searches in C over bytes; JSON is parsed only until an answer has begun,
and for the event that carries the token counts.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.sse import EventSplitter, data_of, events
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from byoi_wire.requests import Dialect

_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_DONE: Final = b"[DONE]"
_DONE_ENDS: Final = (b"[DONE]\n\n", b"[DONE]\r\n\r\n")
_COUNTS: Final = b'_tokens"'
"""In every `usage` that is more than null, which some engines send with each event."""

_FINISHES: Final = (b'"finish_reason":"', b'"finish_reason": "')
_FINISH: Final = re.compile(rb'"finish_reason"\s*:\s*"([a-z_]{1,32})"')
_LAST_RESPONSE: Final = re.compile(rb'"type"\s*:\s*"response\.(completed|incomplete|failed)"')
_TEXT: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|text|arguments|delta)":[ ]?"((?:[^"\\]|\\.)*)"'
)
_BEGINS: Final = re.compile(rb'"delta":[ ]?\{(?:"role":[ ]?"assistant",[ ]?)?"content":[ ]?"[^"]')
"""Text that is not empty, as engines write it: nothing within a JSON string looks like this."""

_PLAIN_TEXT: Final = re.compile(rb"[ !#-~]*")
"""Neither a quote nor a line's end: within a string of an event it changes nothing around it."""

_NEVER: Final = 2**62  # as a length: no piece is so long
_TEXT_FIELDS: Final = (
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
)
_DELTA_KINDS: Final = (".delta", ".done", "completed", "incomplete", "failed", "error")
HELD_LIMIT_BYTES: Final = 256 * 1024
"""What may wait for an answer's first content; more than that is content in all but name."""


class AnswerFraming:
    """Sole owner of one streamed answer's framing and of the console's own count of it.

    `keeps_usage` says whether the client asked for the usage event; otherwise it is taken out.
    """

    __slots__ = (
        "_after",
        "_around",
        "_before",
        "_dialect",
        "_held",
        "_held_bytes",
        "_keeps_usage",
        "_splitter",
        "content_events",
        "finish_reason",
        "has_content",
        "is_finished",
        "usage",
    )

    def __init__(self, dialect: Dialect, *, keeps_usage: bool) -> None:
        self._dialect = dialect
        self._keeps_usage = keeps_usage
        self._splitter = EventSplitter()
        self._before = self._after = b""
        self._around = _NEVER  # the length of both, where there is such an event
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.has_content = False
        self.is_finished = False
        self.content_events = 0
        self.usage: Usage | None = None
        self.finish_reason: str | None = None

    def feed(self, data: bytes) -> bytes:
        """The events that may go on, b"" while all is held for the first content.

        Raises:
            ProtocolViolation: these are not events; what was fed goes nowhere.
        """
        splitter = self._splitter
        if (
            len(data) >= self._around
            and data.startswith(self._before)
            and data.endswith(self._after)
            and splitter.is_empty
            and _PLAIN_TEXT.fullmatch(data, len(self._before), len(data) - len(self._after))
        ):
            self.content_events += 1
            return data
        block = splitter.feed(data)
        return self._look_through(block) if block else b""

    def _look_through(self, block: bytes) -> bytes:
        count = _check(block)
        if self.is_finished:
            raise ProtocolViolation("events after the last one")
        if _COUNTS in block:
            block, count = self._take_usage(block, count)
        if _FINISHES[0] in block or _FINISHES[1] in block:
            count -= self._note_finish(block)
        if self._dialect == "responses" or block.endswith(_DONE_ENDS):
            count -= self._note_end(block)
        if not self.has_content:
            return self._hold(block)
        self.content_events += count
        if count == 1 and not self.is_finished:
            self._learn(block)
        else:
            self._around = _NEVER
        return block

    @property
    def is_torn(self) -> bool:
        """Whether part of an event has come without its end."""
        return bool(self._splitter.torn)

    def release(self) -> bytes:
        """What was held; for an answer that ended without any content."""
        held, self._held, self._held_bytes = b"".join(self._held), [], 0
        return held

    def _learn(self, event: bytes) -> None:
        """Remember a good event around its text; the next ones are mostly the same."""
        text = _TEXT.search(event)
        if text is None or _FINISH.search(event) is not None or _COUNTS in event:
            self._around = _NEVER
            return
        self._before, self._after = event[: text.start(1)], event[text.end(1) :]
        self._around = len(self._before) + len(self._after)

    def _note_finish(self, block: bytes) -> int:
        """Remember the reason; returns how many events say that alone, and so were no token."""
        if (reason := _FINISH.search(block)) is None:
            return 0
        self.finish_reason = reason[1].decode()
        return sum(1 for event in events(block) if _is_finish_alone(event))

    def _note_end(self, block: bytes) -> int:
        """Look for the answer's end; returns how many events at the end carry no content."""
        if self._dialect == "responses":
            if b'"response.' in block and (last := _LAST_RESPONSE.search(block)) is not None:
                self.is_finished = True
                self.finish_reason = last[1].decode()
                return 1
            return 0
        last_line = block.rstrip().rpartition(b"\n")[2]
        self.is_finished = last_line.removeprefix(b"data:").strip() == _DONE
        return int(self.is_finished)

    def _hold(self, block: bytes) -> bytes:
        """Keep everything until the first event with content, then let all of it go."""
        self._held.append(block)
        self._held_bytes += len(block)
        content = [event for event in events(block) if _has_content(event, self._dialect)]
        if not content and self._held_bytes <= HELD_LIMIT_BYTES:
            return b""
        self.has_content = True
        self.content_events += sum(1 for event in content if not _is_finish_alone(event))
        return self.release()

    def _take_usage(self, block: bytes, count: int) -> tuple[bytes, int]:
        kept: list[bytes] = []
        for event in events(block):
            parsed = _parse(event) if _COUNTS in event else None
            usage = usage_of(parsed, self._dialect)
            if usage is not None:
                self.usage = usage
            if usage is None or self._dialect == "responses" or (parsed or {}).get("choices"):
                kept.append(event)
                continue
            count -= 1
            if self._keeps_usage:
                kept.append(event)
        return b"".join(kept), count


def usage_of(parsed: dict[str, Any] | None, dialect: Dialect) -> Usage | None:
    """The token counts of an event or of a plain body, None if there are none to be read."""
    if parsed is None:
        return None
    holder = parsed
    if dialect == "responses" and isinstance(parsed.get("response"), dict):
        holder = parsed["response"]
    counts = holder.get("usage")
    if not isinstance(counts, dict):
        return None
    first, second = ("input", "output") if dialect == "responses" else ("prompt", "completion")
    return Usage(
        prompt_tokens=_count(counts, f"{first}_tokens"),
        completion_tokens=_count(counts, f"{second}_tokens"),
        cached_tokens=_count(counts.get(f"{first}_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(counts.get(f"{second}_tokens_details"), "reasoning_tokens"),
    )


def _count(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if type(value) is int and 0 <= value < 2**31 else 0


def _check(block: bytes) -> int:
    """How many events a block of whole ones has.

    Raises:
        ProtocolViolation: a line that is no field of an event, a NUL, or no UTF-8.
    """
    if not block.isascii():
        _check_text(block)
    if b"\0" in block:
        raise ProtocolViolation("a NUL among events", close_code=1007)
    ends = block.count(b"\n")
    count = ends // 2
    # Events of one `data:` line each, as nearly every engine writes them: the first start, the
    # starts that follow a blank line and the last blank line then account for every line end.
    if (
        block.startswith(b"data:")
        and ends == 2 * count
        and (count == 1 or block.count(b"\n\ndata:") == count - 1)
        and block.endswith(b"\n\n")
        and b"\r" not in block
    ):
        return count
    return _check_lines(block)


def _check_text(block: bytes) -> None:
    try:
        block.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation("events that are not UTF-8", close_code=1007) from error


def _check_lines(block: bytes) -> int:
    lines = block.replace(b"\r\n", b"\n").split(b"\n")
    if any((line and not line.startswith(_FIELDS)) or b"\r" in line for line in lines):
        raise ProtocolViolation("a line that is no field of an event")
    return sum(1 for event in events(block) if b"data:" in event)


def _parse(event: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(data_of(event))
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _has_content(event: bytes, dialect: Dialect) -> bool:
    """Whether a client that sees this event has seen part of the answer."""
    if dialect == "chat" and _BEGINS.search(event) is not None:
        return True  # most of them: JSON is only read where it takes a closer look
    parsed = _parse(event)
    if parsed is None:
        return False
    if dialect == "responses":
        return str(parsed.get("type", "")).endswith(_DELTA_KINDS)
    choices = parsed.get("choices")
    if not isinstance(choices, list):
        return False
    return any(_choice_has_content(choice) for choice in choices if isinstance(choice, dict))


def _is_finish_alone(event: bytes) -> bool:
    """Whether an event ends a choice without bringing the last piece of it."""
    if _FINISH.search(event) is None:
        return False
    choices = (_parse(event) or {}).get("choices")
    choices = choices if isinstance(choices, list) else []
    return not any(_choice_has_text(choice) for choice in choices if isinstance(choice, dict))


def _choice_has_content(choice: dict[str, Any]) -> bool:
    return bool(choice.get("finish_reason")) or _choice_has_text(choice)


def _choice_has_text(choice: dict[str, Any]) -> bool:
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(field) for field in _TEXT_FIELDS)

"""Reads one streamed chat answer and notes when its pieces came."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.bench.figures import Answer
from byoi_agent.usage.counts import pieces_of, usage_of
from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.sse import EventSplitter, data_of, events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.errors import EngineError
    from byoi_wire.usage import Usage

_OK: Final = 200
_SHOWN_CHARACTERS: Final = 160
_KEPT_BYTES: Final = 16 * 1024


class AnswerReader:
    """Sole owner of what has come of one answer; an `ExchangeHandler` of the engine's client."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.is_over = asyncio.Event()
        self._now = now
        self._began = now()
        self._ended: float | None = None
        self._pieces: list[float] = []
        self._usage: Usage | None = None
        self._failure: str | None = None
        self._status = 0
        self._refusal = bytearray()
        self._splitter = EventSplitter()

    def answer(self) -> Answer:
        """What has come; one that still goes on is cut."""
        usage, is_cut = self._usage, self._ended is None
        return Answer(
            began=self._began,
            ended=self._now() if self._ended is None else self._ended,
            pieces=tuple(self._pieces),
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            cached_tokens=0 if usage is None else usage.cached_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
            failure="no answer in time" if is_cut else self._failure,
        )

    @property
    def status(self) -> int:
        """The answer's HTTP status; 0 before its head has come."""
        return self._status

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """The answer begins."""
        self._status = status

    def body_received(self, data: bytes) -> None:
        """Some bytes of it."""
        if self._status != _OK:
            self._refusal += data[: _KEPT_BYTES - len(self._refusal)]
            return
        try:
            block = self._splitter.feed(data)
        except ProtocolViolation as error:
            self._failure = self._failure or str(error)
            return
        now = self._now()
        for event in events(block):
            self._take(data_of(event), now)

    def body_ended(self) -> None:
        """It is whole."""
        if self._status != _OK:
            self._end(f"HTTP {self._status}{_message(bytes(self._refusal))}")
        elif not self._pieces:
            self._end(self._failure or "an answer without text")
        else:
            self._end(self._failure)

    def failed(self, error: EngineError) -> None:
        """It broke off, or never began."""
        self._end(str(error))

    def _end(self, failure: str | None) -> None:
        self._failure, self._ended = failure, self._now()
        self.is_over.set()

    def _take(self, data: bytes, now: float) -> None:
        if not data or data == b"[DONE]":
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            self._failure = self._failure or "an event that is no JSON"
            return
        if not isinstance(event, dict):
            return
        if error := event.get("error"):
            self._failure = self._failure or f"an error within the answer{_told(error)}"
        if (usage := usage_of(event.get("usage"))) is not None:
            self._usage = usage
        choices = event.get("choices")
        if isinstance(choices, list) and any(_has_text(choice) for choice in choices):
            self._pieces.append(now)


def _has_text(choice: Any) -> bool:  # noqa: ANN401 an engine's JSON
    return isinstance(choice, dict) and any(pieces_of(choice))


def _message(body: bytes) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return _told(content.get("error", content)) if isinstance(content, dict) else ""


def _told(error: Any) -> str:  # noqa: ANN401 an engine's JSON
    message = error.get("message") if isinstance(error, dict) else error
    return f": {message[:_SHOWN_CHARACTERS]}" if isinstance(message, str) and message else ""

"""The engine's answer to one request: passed on as it comes, judged at its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from byoi_agent.serving import ending
from byoi_agent.serving.ending import ENGINE_FAILED, INTERNAL, JSON_TYPE, Ending
from byoi_agent.usage.answer import AnswerFacts, read_answer
from byoi_agent.usage.meter import StreamMeter
from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.errors import EngineError
    from byoi_agent.serving.request import PreparedRequest
    from byoi_wire.usage import Usage

logger = logging.getLogger(__name__)

ANSWER_LIMIT_BYTES: Final = 32 * 1024 * 1024
FIRST_BYTE_SECONDS: Final = 120.0
NEXT_BYTE_SECONDS: Final = 60.0
_EVENTS_TYPE: Final = "text/event-stream"
_LOGGED_CHARACTERS: Final = 200
_OK: Final = 200


class AnswerTaker(Protocol):
    """Whoever asked."""

    def forward(self, data: bytes, content_type: str) -> None:
        """A piece of a streamed answer may go on."""

    def finish(self, ending: Ending) -> None:
        """The answer has ended, well or badly; only the first call counts."""


class EngineAnswer:
    """Sole owner of what has come of one answer; what the engine client calls comes last."""

    def __init__(
        self,
        request: PreparedRequest,
        taker: AnswerTaker,
        *,
        monotonic: Callable[[], float],
        translate_error: Callable[[int, bytes, str], tuple[int, dict[str, Any]]],
    ) -> None:
        self._request = request
        self._taker = taker
        self._monotonic = monotonic
        self._translate_error = translate_error
        self._status = 0
        self._content_type = JSON_TYPE
        self._heard_at = monotonic()
        self._has_body = False
        self._splitter = EventSplitter()
        self._meter = StreamMeter(
            request.dialect, hides_usage=request.hides_usage, choices=request.choices
        )
        self._split, self._measure = self._splitter.feed, self._meter.feed
        self._forward = taker.forward
        self._is_stream = False
        self._is_judged = False
        self._body = bytearray()
        self._facts = AnswerFacts()

    @property
    def usage(self) -> Usage | None:
        """The engine's own counts, None until it has told them."""
        return self._meter.usage if self._is_stream else self._facts.usage

    @property
    def finish_reason(self) -> str | None:
        """How the model ended, None until it has."""
        return self._meter.finish_reason if self._is_stream else self._facts.finish_reason

    @property
    def text(self) -> str | None:
        """What was generated so far; None if it could not be kept."""
        return self._meter.text if self._is_stream else self._facts.text

    @property
    def content_events(self) -> int:
        """How many events carried generated text."""
        return self._meter.content_events

    @property
    def first_content_at(self) -> float | None:
        """When the first generated text came, in the clock's monotonic seconds."""
        return self._meter.first_content_at

    def is_late(self, now: float) -> bool:
        """Whether a stream has been silent for too long; a plain answer is silent until its end."""
        silent_seconds = now - self._heard_at
        if self._has_body:
            return silent_seconds >= NEXT_BYTE_SECONDS
        return self._request.streams and silent_seconds >= FIRST_BYTE_SECONDS

    def excuse(self, now: float) -> None:
        """We kept the engine waiting: its silence counts from now on."""
        self._heard_at = now

    # What the engine client calls.

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:
        """The engine has begun; nothing is passed on before a first piece of its body is there."""
        self._status = status
        content_type = headers.get("content-type", JSON_TYPE)
        if status != _OK:
            return
        self._is_stream = content_type.partition(";")[0].strip().lower() == _EVENTS_TYPE
        self._content_type = content_type
        if self._is_stream is not self._request.streams:
            self._fail(f"it answered with {content_type}")

    def body_received(self, data: bytes) -> None:
        """The hot path: once per piece of every answer."""
        self._heard_at = now = self._monotonic()
        self._has_body = True
        try:
            if not self._is_stream:
                self._collect(data)
            elif block := self._split(data):
                passed = self._measure(block, now)
                if passed:
                    self._forward(passed, self._content_type)
                if passed is not block:
                    self._look_for_end()
        except ProtocolViolation as violation:
            self._fail(str(violation))
        except Exception:  # a fault of ours must not end the other requests of this engine
            logger.exception("answer not passed on")
            self._judge(INTERNAL)

    def body_ended(self) -> None:
        """Complete by its framing, which is not yet success."""
        if self._is_stream:
            self._stream_ended()
        elif self._status == _OK:
            self._plain_ended()
        else:
            self._error_ended()

    def failed(self, error: EngineError) -> None:
        """The connection broke."""
        self._fail(str(error))

    # Inside

    def _look_for_end(self) -> None:
        meter = self._meter
        if meter.failure is not None:
            self._fail(meter.failure)
        elif meter.is_over:
            self._stream_ended()

    def _stream_ended(self) -> None:
        meter = self._meter
        if meter.is_complete and not self._splitter.torn:
            self._judge(ending.complete(meter.held, self._content_type))
        else:
            self._fail(meter.failure or "the stream ended before its end")

    def _plain_ended(self) -> None:
        body = bytes(self._body)
        self._facts = read_answer(self._request.dialect, body)
        if self._facts.failure is not None:
            self._fail(self._facts.failure)
        else:
            self._judge(ending.complete(body, self._content_type))

    def _error_ended(self) -> None:
        # Whose fault it is, the engine's kind knows: llama.cpp says 500 to an input too long.
        answer = self._translate_error(self._status, bytes(self._body), self._request.path)
        how = ending.rejected(*answer)
        if how.is_engines_fault:
            self._fail(f"status {self._status}")
            return
        # Not its text: engines repeat parts of the prompt in it.
        logger.info("engine refused a request", extra={"status": self._status})
        self._judge(how)

    def _collect(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > ANSWER_LIMIT_BYTES:
            self._fail("the answer is too large")

    def _fail(self, reason: str) -> None:
        if not self._is_judged:
            shown = reason[:_LOGGED_CHARACTERS]
            logger.warning("engine failed a request", extra={"reason": shown})
            self._judge(ENGINE_FAILED)

    def _judge(self, how: Ending) -> None:
        self._is_judged = True
        self._taker.finish(how)

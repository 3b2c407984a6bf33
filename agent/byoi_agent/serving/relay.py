"""One request's way: its body to the engine, the answer back, its record before the end."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import EngineError, RequestRefused
from byoi_agent.serving import ending
from byoi_agent.serving.answer import EngineAnswer
from byoi_agent.serving.ending import (
    BODY_LATE,
    BODY_MISMATCH,
    DEADLINE,
    ENGINE_FAILED,
    ENGINE_SILENT,
    HANDED_BACK,
    INTERNAL,
    NODE_STOPS,
    Ending,
)
from byoi_agent.serving.measure import (
    COUNT_SECONDS,
    HANDING_BACK_SECONDS,
    HASTY_COUNT_SECONDS,
    NOTHING,
    Measured,
    measure,
    restate,
    without_tokenizer,
)
from byoi_agent.serving.reply import Reply
from byoi_agent.serving.request import model_for, prepare
from byoi_agent.usage.outbox import OutboxFull
from byoi_wire.ids import RecordId
from byoi_wire.messages import AnswerHead, ResetCode, Trailer
from byoi_wire.requests import RequestInvalid
from byoi_wire.usage import UsageRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.engine.view import EngineView
    from byoi_agent.serving.neighbours import (
        Client,
        Engine,
        Exchange,
        Kind,
        StreamSession,
        Surroundings,
    )
    from byoi_agent.serving.request import PreparedRequest
    from byoi_wire.ids import ModelId, StreamId
    from byoi_wire.messages import OpenHead

logger = logging.getLogger(__name__)

BODY_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0


class Relay:
    """Sole owner of one request in flight; the session, the engine's answer and the clock call it.

    A request that was refused (`RESET(REFUSED)`) leaves no record, since nothing of it ran; every
    other one leaves exactly one, durable before the stream's last byte.
    """

    def __init__(
        self,
        session: StreamSession,
        stream: StreamId,
        head: OpenHead,
        around: Surroundings,
        *,
        engine: Engine,
        free_slot: Callable[[RecordId], None],
    ) -> None:
        self._reply = Reply(session, stream)
        self._head = head
        self._around = around
        self._engine = engine
        self._free_slot = free_slot
        self._opened_at = around.clock.monotonic()
        self._started_at_ms = int(around.clock.wall() * 1000)
        self._deadline_at = self._opened_at + head.deadline_seconds
        self._body = bytearray()
        self._has_body = False
        self._slot_at: float | None = None
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._ending: Ending | None = None
        self._request: PreparedRequest | None = None
        self._answer: EngineAnswer | None = None
        self._kind: Kind = engine.kind
        self._client: Client = engine.client
        self._exchange: Exchange | None = None
        self._is_paused = False
        self._joules: float | None = None

    @property
    def record_id(self) -> RecordId:
        """The key of this attempt's record."""
        return RecordId(self._head.request_id, self._head.attempt)

    @property
    def engine_key(self) -> str:
        """Whose request it is."""
        return self._engine.key

    @property
    def model(self) -> ModelId:
        """What its client asked for."""
        return self._head.model

    @property
    def is_own(self) -> bool:
        """Whether the machine's owner asks."""
        return self._around.is_own

    @property
    def has_begun(self) -> bool:
        """Whether a part of its answer has gone out."""
        return self._reply.has_begun

    @property
    def is_over(self) -> bool:
        """Whether its end is decided, so that its slot will be free in a moment."""
        return self._ending is not None

    @property
    def can_begin(self) -> bool:
        """Whether its engine would still take it."""
        return self._engine.view.state == "ready"

    async def run(self) -> None:
        """Until the record is durable and the stream has ended; cancelled, it does so at once."""
        try:
            await self._serve()
        except asyncio.CancelledError:
            self.stop()
            await self._conclude(self._measured_at_once())
            raise
        except Exception:  # one request's fault ends that request only
            logger.exception("request failed", extra={"request": self._head.request_id})
            self.finish(INTERNAL)
        await self._settle()

    # What the dispatcher calls.

    def admit(self) -> None:
        """A slot is this request's now."""
        self._slot_at = self._around.clock.monotonic()
        if self._has_body:
            self._ready.set()

    def move_to(self, engine: Engine) -> None:
        """Another engine has its model now; it waits there."""
        self._engine = engine

    def check(self, now: float) -> None:
        """Called about once a second: end what takes too long."""
        if now >= self._deadline_at:
            self._time_out(DEADLINE)
        elif not self._has_body:
            if now >= self._opened_at + BODY_SECONDS:
                self._time_out(BODY_LATE)
        elif self._answer is not None:
            if self._is_paused:
                self._answer.excuse(now)
            elif self._answer.is_late(now):
                self._time_out(ENGINE_SILENT)

    def stop(self) -> None:
        """The node goes down: what has not begun goes back to the console, the rest is cut."""
        self.give_back("draining")
        self.finish(NODE_STOPS)

    def hand_back(self, reason: str) -> None:
        """The machine is its owner's: another node may do what has not begun, or go on from here.

        The engine stops in this very turn.
        """
        self.give_back(reason)
        self.finish(HANDED_BACK)

    def give_back(self, reason: str) -> None:
        """If nothing of it has reached the engine, let the console try another node."""
        if self._answer is None:
            self.finish(ending.refused(reason))

    def abandon(self) -> None:
        """It cannot even be ended properly: cut both sides."""
        if self._exchange is not None:
            self._exchange.abort()
        self._around.energy.forget(self.record_id)
        self._reply.reset(ResetCode.INTERNAL, INTERNAL.reason)

    # What the session calls.

    def head_received(self, head: AnswerHead) -> None:
        """Never at a node: only answers have such heads."""

    def data_received(self, data: bytes) -> None:
        """A piece of the request; all of it is kept, so there is always room for the next."""
        if self._ending is not None:
            return  # nobody will read it: no credit, no memory
        self._reply.consumed(len(data))
        self._body += data
        if len(self._body) > self._head.body_bytes:
            self.finish(BODY_MISMATCH)

    def end_received(self, trailer: bytes) -> None:  # noqa: ARG002 - a console sends none
        """The request is whole."""
        self._has_body = True
        if len(self._body) != self._head.body_bytes:
            self.finish(BODY_MISMATCH)
        elif self._slot_at is not None:
            self._ready.set()

    def reset_received(self, code: ResetCode, reason: str) -> None:  # noqa: ARG002 - not for us
        """The client left, or the link is lost for good: the engine stops in this very turn."""
        self.finish(ending.cut_by_peer(code, has_begun=self._reply.has_begun))

    def send_allowed(self) -> None:
        """The client has caught up: read on from the engine."""
        if self._is_paused and self._answer is not None and self._exchange is not None:
            self._is_paused = False
            self._answer.excuse(self._around.clock.monotonic())
            self._exchange.resume()

    def link_lost(self) -> None:
        """The engine goes on; what it says waits in the stream's queue until that is full."""

    def link_resumed(self) -> None:
        """The queue empties by itself and `send_allowed` follows."""

    # What the engine's answer calls.

    def forward(self, data: bytes, content_type: str) -> None:
        """The hot path: a piece of a streamed answer goes on."""
        if self._ending is not None:
            return
        reply = self._reply
        if not reply.has_begun:
            reply.announce(self._head_of(200, content_type))
        if not reply.send(data) and self._exchange is not None:
            self._is_paused = True
            self._exchange.pause()

    def finish(self, how: Ending) -> None:
        """The first call decides; whatever is still under way at the engine is cancelled."""
        if self._ending is not None:
            return
        self._ending = how
        self._around.energy.stop(self.record_id)
        self._over.set()
        self._ready.set()
        if self._exchange is not None and how.outcome != "complete":
            self._exchange.abort()
        if how.is_engines_fault:
            self._engine.suspect(how.error_code or "")

    # Inside

    async def _serve(self) -> None:
        await self._ready.wait()
        if self._ending is not None:
            return
        engine = self._engine  # another may have come to its place while this one waited
        self._kind, self._client = engine.kind, engine.client
        try:
            self._request = self._prepared(engine.view)
        except RequestRefused as refusal:
            self.finish(ending.refused(refusal.reason))
        except RequestInvalid as error:
            self.finish(ending.invalid(error))
        else:
            await self._ask(self._request)
        await self._over.wait()

    def _prepared(self, view: EngineView) -> PreparedRequest:
        model = model_for(self._head, view)  # it may have gone while this one waited
        if view.state != "ready":
            raise RequestRefused("engine_not_ready")
        raw = bytes(self._body)
        self._body.clear()
        secret, tenant = self._around.salt_secret, self._head.tenant
        salt = hmac.new(secret, tenant.encode(), hashlib.sha256).hexdigest()
        extra_fields, is_own = self._kind.extra_fields, self.is_own
        return prepare(self._head, raw, model, extra_fields=extra_fields, salt=salt, is_own=is_own)

    async def _ask(self, request: PreparedRequest) -> None:
        self._answer = EngineAnswer(
            request,
            self,
            monotonic=self._around.clock.monotonic,
            translate_error=self._kind.translate_error,
        )
        accept = "text/event-stream" if request.streams else "application/json"
        headers = {"content-type": "application/json", "accept": accept}
        self._around.energy.begin(self.record_id, self._head.model)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                exchange = await self._client.send(
                    "POST", request.path, headers, request.body, self._answer
                )
        except (EngineError, TimeoutError) as error:
            logger.warning("engine not reached", extra={"reason": str(error)})
            self.finish(ENGINE_FAILED)
            return
        self._exchange = exchange
        if self._ending is not None:  # while it connected
            exchange.abort()

    def _time_out(self, how: Ending) -> None:
        if self._answer is not None and self._ending is None and not how.is_engines_fault:
            self._engine.suspect(how.error_code or "")
        self.finish(how)

    def _head_of(self, status: int, content_type: str) -> AnswerHead:
        headers = {"content-type": content_type}
        if self._request is not None and self._request.dropped:
            headers["x-byoi-dropped"] = ", ".join(self._request.dropped)
        queued_ms = self._since_opened_ms(self._slot_at)
        return AnswerHead(status=status, headers=headers, queued_ms=queued_ms)

    async def _settle(self) -> None:
        self._free_slot(self.record_id)
        try:
            measured = await self._measured()
            # A fast no lets the console try elsewhere sooner; so does what another goes on with.
            if not self._how.is_rejection and self._how is not HANDED_BACK:
                self._joules = await self._around.energy.end(self.record_id)
        except asyncio.CancelledError:
            await self._conclude(self._measured_at_once())
            raise
        await self._conclude(measured)

    async def _measured(self) -> Measured:
        answer, request = self._answer, self._request
        if answer is None or request is None or self._is_unused(answer):
            return NOTHING
        seconds = HASTY_COUNT_SECONDS if self._how is NODE_STOPS else COUNT_SECONDS
        if self._how is HANDED_BACK:
            seconds = HANDING_BACK_SECONDS
        return await measure(self._kind, self._client, request, answer, within_seconds=seconds)

    def _measured_at_once(self) -> Measured:
        return NOTHING if self._answer is None else without_tokenizer(self._answer)

    def _is_unused(self, answer: EngineAnswer) -> bool:
        """Whether no token was used, so that there is nothing to count."""
        how, is_empty = self._how, not answer.content_events and answer.usage is None
        return how.is_rejection or (how.is_engines_fault and is_empty)

    async def _conclude(self, measured: Measured) -> None:
        """Make the record durable, then end the stream; never the other way round."""
        how = self._restated(self._how, measured)
        if self._joules is None:  # it did not come to its end in peace
            self._joules = self._around.energy.forget(self.record_id)
        if not how.is_recorded:
            self._reply.reset(ResetCode.REFUSED, how.reason)
            return
        record = self._record(how, measured)
        try:
            await self._around.outbox.commit(record)
        except OutboxFull:
            logger.exception("usage not recorded", extra={"request": record.request_id})
            how = INTERNAL
        if self._exchange is not None:
            self._exchange.abort()  # an engine that said [DONE] and did not end its answer
        if not how.is_told:
            return
        if how.reset is not None:
            self._reply.reset(how.reset, how.reason)
            return
        if not self._reply.has_begun:
            self._reply.announce(self._head_of(how.status, how.content_type))
        trailer = Trailer(
            usage=record.usage,
            finish_reason=record.finish_reason,
            first_token_ms=record.first_token_ms,
            duration_ms=record.duration_ms,
        )
        self._reply.end(how.last, trailer)

    @property
    def _how(self) -> Ending:
        assert self._ending is not None, "concluded before it ended"
        return self._ending

    def _restated(self, how: Ending, measured: Measured) -> Ending:
        """The client is told what the record says, also where the engine's own counts were not."""
        request = self._request
        if request is None or request.choices == 1 or how.outcome != "complete":
            return how
        return replace(how, last=restate(how.last, measured.usage, is_stream=request.streams))

    def _record(self, how: Ending, measured: Measured) -> UsageRecord:
        answer = self._answer
        first_content_at = None if answer is None else answer.first_content_at
        return UsageRecord(
            request_id=self._head.request_id,
            attempt=self._head.attempt,
            ticket=self._head.ticket,
            node_id=self._around.node_id,
            model=self._head.model,
            route=self._head.path,
            outcome=how.outcome,
            status=200 if self._reply.has_begun else how.status,
            usage=measured.usage,
            counted_by=measured.counted_by,
            finish_reason=None if answer is None else answer.finish_reason,
            error_code=how.error_code,
            started_at_ms=self._started_at_ms,
            first_token_ms=self._since_opened_ms(first_content_at),
            duration_ms=(self._around.clock.monotonic() - self._opened_at) * 1000,
            sent_bytes=self._reply.sent_bytes + (len(how.last) if how.reset is None else 0),
            joules=self._joules,
        )

    def _since_opened_ms(self, at: float | None) -> float | None:
        return None if at is None else (at - self._opened_at) * 1000

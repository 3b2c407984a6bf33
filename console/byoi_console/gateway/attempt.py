"""One try at one node: the request up, the answer down, and what became of it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from byoi_console.gateway.errors import code_of
from byoi_console.gateway.framing import AnswerFraming, usage_of
from byoi_wire.errors import ProtocolViolation
from byoi_wire.ids import ModelId, NodeId, RequestId, StreamId
from byoi_wire.messages import AnswerHead, OpenHead, ResetCode

if TYPE_CHECKING:
    from byoi_console.accounts.principal import Principal
    from byoi_console.routing.registry import StreamOpener
    from byoi_wire.requests import RequestRoute
    from byoi_wire.usage import Outcome, Usage

logger = logging.getLogger(__name__)

ANSWER_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Largest answer that is collected whole, which is what a request that does not stream gets."""

_UPLOAD_BYTES: Final = 64 * 1024
_GIVE_BACK_BYTES: Final = 4 * 1024
"""Credit is given back in pieces of this size, a small part of a window, and not per chunk."""

_GOOD: Final = 200
_SERVER_ERRORS: Final = range(500, 600)
_VERDICTS: Final = frozenset({400, 404, 413, 415, 422})
"""What a node may say of the request itself. Its other errors (a 401 of an engine that wants a key,
a 429) speak of the node, and another one is tried."""

_VERDICT_LIMIT_BYTES: Final = 64 * 1024


class Call(NamedTuple):
    """What a client asked for, looked through and ready to be sent to a node."""

    request_id: RequestId
    principal: Principal
    route: RequestRoute
    model: ModelId
    body: bytes
    streams: bool
    keeps_usage: bool
    tenant: str
    started_at_ms: int
    fingerprint: bytes
    may_continue: bool = False


class Owner(Protocol):
    """The relay as an attempt sees it. Called from the event loop, within the event's own turn."""

    @property
    def is_writable(self) -> bool:
        """Whether the client takes more."""

    def pass_on(self, block: bytes) -> bool:
        """Send events to the client; the first that come commit the answer to this attempt.

        False: the client is full, look at `is_writable` before the next ones.
        """

    def note_waiting(self, count: int) -> None:
        """So many bytes are kept back."""

    def attempt_changed(self) -> None:
        """It is over, or its link came or went."""


class Failure(NamedTuple):
    """Why an attempt came to nothing. `is_refusal`: it never started there, nothing to book."""

    code: str
    is_refusal: bool = False


class Attempt:
    """Sole owner of one stream to a node; a `StreamHandler` of its session.

    Pieces go on as they come. While the client's connection is full they wait, and nothing is given
    back to the session, so that the node's window closes and the engine is slowed; no more than
    that window waits here.
    """

    __slots__ = (
        "_answer",
        "_batch",
        "_call",
        "_framing",
        "_has_ended_upload",
        "_head",
        "_is_full",
        "_is_stream",
        "_owed",
        "_owner",
        "_session",
        "_size",
        "_stream",
        "_time",
        "_uploaded",
        "delivered_bytes",
        "failure",
        "first_token_at",
        "is_cut",
        "is_over",
        "last_heard_at",
        "node_id",
        "number",
        "outcome",
        "started_at",
        "usage",
    )

    def __init__(
        self, owner: Owner, call: Call, node_id: NodeId, session: StreamOpener, number: int
    ) -> None:
        self._time = asyncio.get_running_loop().time
        self._owner = owner
        self._call = call
        self._session = session
        self._framing = AnswerFraming(call.route.dialect, keeps_usage=call.keeps_usage)
        self._stream = StreamId(0)
        self._head: AnswerHead | None = None
        self._batch: list[bytes] = []
        self._size = 0
        self._owed = 0
        self._answer: list[bytes] = []
        self._is_full = not owner.is_writable
        self._is_stream = False
        self._uploaded = 0
        self._has_ended_upload = False
        self.node_id = node_id
        self.number = number
        self.started_at = self._time()
        self.last_heard_at = self.started_at
        self.first_token_at: float | None = None
        self.delivered_bytes = 0
        self.usage: Usage | None = None
        self.is_cut = False
        self.is_over = False
        self.outcome: Outcome | None = None
        self.failure: Failure | None = None

    # What the relay calls

    def start(self, ticket: str, deadline_seconds: float) -> None:
        """Open the stream and send the request."""
        call = self._call
        head = OpenHead(
            request_id=call.request_id,
            attempt=self.number,
            ticket=ticket,
            tenant=call.tenant,
            org_id=call.principal.org_id,
            path=call.route.path,
            model=call.model,
            deadline_seconds=deadline_seconds,
            body_bytes=len(call.body),
        )
        try:
            self._stream = self._session.open(head, self)
        except OverflowError:  # the session is used up; its node is about to begin another
            self.failure = Failure("node_unavailable", is_refusal=True)
            self._end("failed")
            return
        self._upload()

    def client_left(self) -> None:
        """Nobody waits any more: stop the engine."""
        if not self.is_over:
            self._session.reset(self._stream, ResetCode.CANCELLED, "the client left")
            self._end("cancelled")

    def give_up(self, code: str) -> None:
        """Another node takes over, or nobody can wait any longer."""
        if not self.is_over:
            self._fail(code, ResetCode.CANCELLED)

    def go_on(self) -> None:
        """The client takes more: what waited goes on, then its room is given back."""
        if not self.is_over and self._owner.is_writable:
            self._is_full = False
            self._owner.note_waiting(0)
            self._drain()
            self._give_back()

    @property
    def has_content(self) -> bool:
        """Whether the client has seen part of this answer."""
        return self.first_token_at is not None

    @property
    def status(self) -> int:
        """The node's status, 0 before it gave one."""
        return 0 if self._head is None else self._head.status

    @property
    def content_events(self) -> int:
        """Events with content that the client got."""
        return self._framing.content_events

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, as far as it has passed here."""
        return self._framing.finish_reason

    @property
    def body(self) -> bytes:
        """The collected answer of a request that does not stream."""
        return b"".join(self._answer)

    # What the session calls

    def head_received(self, head: AnswerHead) -> None:
        """The node begins to answer."""
        self._head = head
        self._heard()
        kind = head.headers.get("content-type", "")
        if head.status == _GOOD and kind.startswith("text/event-stream") != self._call.streams:
            self._fail("upstream_error", ResetCode.INTERNAL)
        self._is_stream = head.status == _GOOD and self._call.streams

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        if self._is_full and not self.is_over:
            self._batch.append(data)
            self._size += len(data)
            if not self._owner.is_writable:
                self._owner.note_waiting(self._size + self._owed)
                return
            self._is_full = False
            self._drain()
        else:
            self._take(data)
        if self._owed >= _GIVE_BACK_BYTES and not self._is_full:
            self._give_back()

    def end_received(self, trailer: bytes) -> None:  # noqa: ARG002 - the claim says it signed
        """The node's half is complete: so is the answer, if it ends as answers do."""
        self._drain()
        if self.is_over:
            return
        if not self._has_ended_upload:
            self._session.reset(self._stream, ResetCode.NO_ERROR, "answered")
        if problem := self._problem():
            self._fail(problem, ResetCode.INTERNAL)
            return
        if self._is_stream and (held := self._framing.release()):
            self._pass_on(held)
        self._end("complete")

    def reset_received(self, code: ResetCode, reason: str) -> None:
        """The node, or the loss of its link, ended the stream."""
        self._drain()
        if self.is_over:
            return
        logger.info(
            "attempt cut",
            extra={"request": self._call.request_id, "node": self.node_id, "why": reason[:200]},
        )
        self.failure = Failure(
            code_of(code), is_refusal=code is ResetCode.REFUSED and not self.has_content
        )
        self._end("failed")

    def send_allowed(self) -> None:
        """There is room for more of the request."""
        self._upload()

    def link_lost(self) -> None:
        """Nothing moves for now."""
        self.is_cut = True
        self._owner.attempt_changed()

    def link_resumed(self) -> None:
        """Nothing was lost."""
        self.is_cut = False
        self._heard()
        self._owner.attempt_changed()

    # Inside

    def _upload(self) -> None:
        body = self._call.body
        while self._uploaded < len(body):
            piece = body[self._uploaded : self._uploaded + _UPLOAD_BYTES]
            self._uploaded += len(piece)
            if not self._session.send(self._stream, piece) and self._uploaded < len(body):
                return  # `send_allowed` goes on
        if not self._has_ended_upload:
            self._has_ended_upload = True
            self._session.end(self._stream)

    def _drain(self) -> None:
        """Send on what waits, whether or not the client's connection has room for it."""
        if self._batch:
            waiting, self._batch, self._size = b"".join(self._batch), [], 0
            self._take(waiting)

    def _take(self, data: bytes) -> None:
        """The hot path: a piece is checked and goes on."""
        if self.is_over:
            return
        self._owed += len(data)
        self.last_heard_at = self._time()
        if not self._is_stream:
            self._collect(data)
            return
        try:
            block = self._framing.feed(data)
        except ProtocolViolation as error:
            logger.warning("malformed events", extra={"node": self.node_id, "why": str(error)})
            self._fail("upstream_error", ResetCode.INTERNAL)
            return
        if block:
            self._pass_on(block)

    def _pass_on(self, block: bytes) -> None:
        if self.first_token_at is None:
            self.first_token_at = self.last_heard_at
        self.delivered_bytes += len(block)
        if not self._owner.pass_on(block):
            self._is_full = True

    def _collect(self, data: bytes) -> None:
        self._answer.append(data)
        self.delivered_bytes += len(data)
        limit = ANSWER_LIMIT_BYTES if self.status == _GOOD else _VERDICT_LIMIT_BYTES
        if self.delivered_bytes > limit or self._head is None:
            self._fail("upstream_error", ResetCode.INTERNAL)

    def _give_back(self) -> None:
        owed, self._owed = self._owed, 0
        if owed and not self.is_over:
            self._session.consumed(self._stream, owed)

    def _problem(self) -> str | None:
        """Why an answer that ended is none, None if it is one."""
        status = self.status
        if status == _GOOD and self._call.streams:
            self.usage = self._framing.usage
            is_whole = self._framing.is_finished and not self._framing.is_torn
            return None if is_whole else "upstream_error"
        parsed = _parse(self.body)
        if status == _GOOD:
            self.usage = usage_of(parsed, self._call.route.dialect)
            return None if parsed is not None else "upstream_error"
        if status in _VERDICTS:
            return None if isinstance((parsed or {}).get("error"), dict) else "upstream_error"
        return "engine_error" if status in _SERVER_ERRORS else "upstream_error"

    def _fail(self, code: str, reset: ResetCode) -> None:
        self._session.reset(self._stream, reset, code)
        self.failure = Failure(code)
        self._end("failed")

    def _end(self, outcome: Outcome) -> None:
        self.is_over = True
        self.outcome = outcome
        self.usage = self.usage or self._framing.usage
        self._batch.clear()
        self._owner.attempt_changed()

    def _heard(self) -> None:
        self.last_heard_at = self._time()


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None

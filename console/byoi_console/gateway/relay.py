"""Client ⇄ nodes: tries nodes until one has answered, and never lets two of them speak at once.

An answer is *committed* to a node by its first event with content. Until then a node that fails is
followed by another and the client sees nothing of it; from then on a failure ends the stream with
an error event. What is known to be lost is booked; what never started at a node is not.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_console.clock import wall_ms
from byoi_console.gateway import errors
from byoi_console.gateway.attempt import Attempt
from byoi_console.gateway.continuation import Continuation
from byoi_console.gateway.errors import RECLAIMED, REFUSED, ModelCannot, Unserved
from byoi_console.gateway.tries import Tries
from byoi_console.ledger.tickets import TicketFacts
from byoi_console.routing.choose import choose

if TYPE_CHECKING:
    from byoi_console.gateway.attempt import Call
    from byoi_console.gateway.exchange import Header
    from byoi_console.gateway.ports import Client, Nodes, TicketOffice
    from byoi_console.gateway.posting import Bookkeeper
    from byoi_console.gateway.quarantine import Quarantine
    from byoi_console.routing.choose import Candidate
    from byoi_wire.ids import NodeId

logger = logging.getLogger(__name__)

PRICE_VERSION: Final = 0
_GOOD: Final = 200
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"),)


class Patience(NamedTuple):
    """How long things may take, in seconds.

    The node watches its engine more closely (first token 120, between tokens 60); the bounds here
    are for a node that no longer does.
    """

    deadline: float = 600.0
    stream_deadline: float = 3600.0
    commit: float = 10.0
    keep_alive: float = 15.0
    first_token: float = 135.0
    between_tokens: float = 75.0
    candidate: float = 3.0
    resume: float = 16.0
    failover: float = 60.0
    """No further attempt is begun later than this, waits for a load that failed not counted."""

    load: float = 900.0
    """The longest that a node may take to load a model, which its first token then waits for."""


class Relay:
    """Sole owner of one request's attempts, and of what its client has been told."""

    __slots__ = (
        "_attempt",
        "_bookkeeper",
        "_call",
        "_changed",
        "_chosen",
        "_client",
        "_continuation",
        "_has_begun",
        "_headers",
        "_last_write_at",
        "_loop",
        "_nodes",
        "_patience",
        "_quarantine",
        "_started_at",
        "_tickets",
        "_time",
        "_timer",
        "_tries",
    )

    def __init__(
        self,
        call: Call,
        client: Client,
        headers: tuple[Header, ...],
        *,
        nodes: Nodes,
        tickets: TicketOffice,
        bookkeeper: Bookkeeper,
        quarantine: Quarantine,
        patience: Patience,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._call = call
        self._continuation = Continuation(call)
        self._client = client
        self._headers = headers
        self._nodes = nodes
        self._tickets = tickets
        self._bookkeeper = bookkeeper
        self._quarantine = quarantine
        self._patience = patience
        self._attempt: Attempt | None = None
        self._chosen: Candidate | None = None
        self._changed = asyncio.Event()
        self._has_begun = False
        self._started_at = self._loop.time()
        self._tries = Tries(self._started_at)
        self._last_write_at = self._started_at
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the client has its answer, an error event, or has left.

        Raises:
            Unserved: nothing was sent to the client yet; answer with 503.
            ModelCannot: no node that has the model answers at this path.
        """
        try:
            self._timer = self._loop.call_later(self._patience.commit, self._tick)
            await self._run()
        except Unserved as failure:
            if not self._has_begun:
                raise
            self._end_with_error(failure.code)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._attempt is not None:
                self._attempt.client_left()  # no news unless this task is being cancelled
                self._close_attempt(self._attempt)

    # What the client's side calls

    def client_left(self) -> None:
        """Nobody waits: the node is told in this very loop turn."""
        if self._attempt is not None:
            self._attempt.client_left()
        self._changed.set()

    def client_writable(self) -> None:
        """The client takes more."""
        if self._attempt is not None:
            self._attempt.go_on()

    # What the attempt calls

    @property
    def is_writable(self) -> bool:
        """Whether the client takes more."""
        return self._client.is_writable

    def pass_on(self, block: bytes) -> bool:
        """Send events to the client; False: it is full."""
        if not self._has_begun:
            self._begin_stream()
        self._last_write_at = self._time()
        return self._client.write(self._continuation.passing(block))

    def note_waiting(self, count: int) -> None:
        """So many bytes are kept back for a client that does not read."""
        self._client.note_waiting(count)

    def attempt_changed(self) -> None:
        """The attempt is over, or its link came or went."""
        self._changed.set()

    # Inside

    async def _run(self) -> None:
        failed_with = "no_node_available"
        while not self._client.has_left:
            attempt = await self._start_one(failed_with)
            if attempt is None:
                return
            await self._wait_for(attempt)
            self._attempt = None
            self._close_attempt(attempt)
            if attempt.failure is None:
                self._deliver(attempt, failed_with)
                return
            failed_with = attempt.failure.code
            if failed_with == "engine_error":
                self._quarantine.died(self._call.fingerprint, self._loop.time())
            if attempt.has_content and not self._goes_on(attempt):
                self._end_with_error(failed_with, attempt.content_events)
                return
            # A node that was cut off may never have heard of the request, and one that its owner
            # took back may be there again.
            may_return = failed_with in {"upstream_lost", RECLAIMED}
            self._tries.ended(attempt.node_id, may_return=may_return)

    def _goes_on(self, attempt: Attempt) -> bool:
        """Whether another node is there to finish what this one began, by no fault of either."""
        assert attempt.failure is not None
        is_nobodys = attempt.failure.code in {"upstream_lost", RECLAIMED}
        may = is_nobodys and self._continuation.cut(attempt.content_events)
        return may and self._choose() is not None

    async def _start_one(self, failed_with: str) -> Attempt | None:
        """Begin the next attempt; None if the client left while no node was there."""
        self._check_may_try(failed_with)
        chosen = self._choose() or await self._wait_for_candidate(failed_with)
        if chosen is None:
            return None
        node_id = chosen.node_id
        node = self._nodes.node(node_id)
        assert node is not None  # nothing was awaited since it was chosen
        number = self._tries.begin(node_id)
        self._call = self._continuation.call_for(chosen.model.engine)
        attempt = Attempt(self, self._call, node_id, node.session, number)
        self._attempt = attempt
        self._chosen = chosen
        self._nodes.reserve(node_id, chosen.group)
        attempt.start(self._ticket(node_id), self._left_seconds())
        return attempt

    def _check_may_try(self, failed_with: str) -> None:
        now = self._loop.time()
        if self._quarantine.refuses(self._call.fingerprint, now):
            raise _unserved("engine_error")
        if self._tries.is_spent(now, self._patience.failover) or self._left_seconds() <= 0:
            raise _unserved(failed_with)

    def _choose(self) -> Candidate | None:
        model, org_id = self._call.model, self._call.principal.org_id
        fits, path = self._continuation.fits, self._call.route.path
        found = self._nodes.candidates(model, org_id)
        candidates = [
            each for each in found if path in each.model.routes and fits(each.model.engine)
        ]
        spread = int(self._call.request_id[-8:], 16) if self._call.request_id else 0
        tries = self._tries
        ways = choose(candidates, tries.tried, spread) or choose(
            candidates, tries.lost_for_good, spread
        )
        return next(iter(ways), None)

    async def _wait_for_candidate(self, failed_with: str) -> Candidate | None:
        """The next node to come, None if the client left meanwhile."""
        try:
            async with asyncio.timeout(self._patience.candidate):
                while (chosen := self._choose()) is None:
                    if self._client.has_left:
                        return None
                    self._check_anybody_comes(failed_with)
                    await self._nodes.wait_for_change()
        except TimeoutError:
            raise _unserved(failed_with) from None
        return chosen

    def _check_anybody_comes(self, failed_with: str) -> None:
        """Where all that have the model are away by their owners' wish, waiting is no use.

        Nor where none that has it answers at this path: their engines are of that kind.
        """
        model, org_id = self._call.model, self._call.principal.org_id
        if found := self._nodes.candidates(model, org_id):
            path = self._call.route.path
            if self._tries.number or self._has_begun or any(path in o.model.routes for o in found):
                return  # none of them can take it now, which may pass
            if not self._nodes.may_answer(model, org_id, path):
                raise ModelCannot(model, path)
        if away := self._nodes.away(model, org_id):
            code = "nodes_away" if failed_with in {"no_node_available", REFUSED} else failed_with
            raise Unserved(code, errors.text_of(code), errors.until_back(away, wall_ms()))

    async def _wait_for(self, attempt: Attempt) -> None:
        """Until the attempt is over; one that lost its link gives way to another node."""
        while not attempt.is_over:
            self._changed.clear()
            if not attempt.is_cut or attempt.has_content:
                await self._changed.wait()  # the tick, the session or the client ends it
            elif self._may_move():
                attempt.give_up("upstream_lost")
            else:
                await self._wait_for_link_or_node()

    def _may_move(self) -> bool:
        return self._tries.has_attempts and self._choose() is not None

    async def _wait_for_link_or_node(self) -> None:
        try:
            async with asyncio.timeout(0.25):  # then look for another node again
                await self._changed.wait()
        except TimeoutError:
            pass

    def _close_attempt(self, attempt: Attempt) -> None:
        self._attempt = None
        if self._chosen is not None:
            self._nodes.release(attempt.node_id, self._chosen.group)
        self._note_end(attempt)
        self._bookkeeper.book(self._call, attempt)

    def _note_end(self, attempt: Attempt) -> None:
        """Tell apart whose fault it was, if anybody's."""
        failure = attempt.failure
        if failure is None:
            return
        seconds = self._time() - attempt.started_at
        if failure.code == RECLAIMED:
            self._nodes.handed_back(attempt.node_id)
        # A request that was on its way while the owner closed the door was refused for that.
        is_shut = failure.is_refusal and self._nodes.is_away(attempt.node_id)
        if failure.code == RECLAIMED or is_shut:
            self._tries.reclaimed(seconds)
        elif failure.is_refusal or attempt.has_content:
            self._tries.excuse(seconds)

    def _deliver(self, attempt: Attempt, failed_with: str) -> None:
        """Send what is left of an answer that is whole; `failed_with`: how the one before ended."""
        if attempt.outcome == "cancelled":
            return
        if attempt.status != _GOOD and self._continuation.has_begun:
            # What an engine has against the rest of an answer says nothing of the client's request.
            self._end_with_error(failed_with)
            return
        if attempt.status == _GOOD and self._call.streams:
            self._begin_stream()
            self._client.finish()
            return
        if self._has_begun:  # a refusal by the node after the stream was opened with comments
            self._client.write(errors.event_of(attempt.body, self._call.route.dialect))
            self._client.finish(is_good=False)
            return
        body = attempt.body
        self._has_begun = True
        self._client.begin(attempt.status, (*self._headers, *_JSON), len(body))
        self._client.write(body)
        self._client.finish()

    def _begin_stream(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._client.begin(200, (*self._headers, *_EVENT_STREAM))

    def _end_with_error(self, code: str, number: int = 0) -> None:
        self._begin_stream()
        self._client.write(errors.event(code, self._call.route.dialect, number))
        self._client.finish(is_good=False)

    def _tick(self) -> None:
        """Comments for a client that hears nothing, and an end for a node that says nothing."""
        now = self._loop.time()
        patience = self._patience
        self._check_silence(now)
        if self._call.streams and now - self._last_write_at >= patience.commit:
            self._comment(now)
        self._timer = self._loop.call_later(patience.keep_alive, self._tick)

    def _comment(self, now: float) -> None:
        self._begin_stream()
        self._last_write_at = now
        if self._client.is_writable:
            self._client.write(_KEEP_ALIVE)

    def _check_silence(self, now: float) -> None:
        attempt = self._attempt
        if attempt is None or attempt.is_over:
            return
        patience = self._patience
        limit = patience.between_tokens
        if not attempt.has_content:
            limit = patience.first_token + self._load_seconds(attempt.node_id)
        is_silent = self._call.streams and now - attempt.last_heard_at > limit
        if attempt.is_cut:
            is_silent = now - attempt.last_heard_at > limit + patience.resume
        if self._client.is_writable and (is_silent or self._left_seconds() <= 0):
            attempt.give_up("upstream_timeout")

    def _load_seconds(self, node_id: NodeId) -> float:
        """What its node may take to load the model; also where that was unloaded only just now."""
        found = self._nodes.candidates(self._call.model, self._call.principal.org_id)
        here = [each.model for each in found if each.node_id == node_id]
        offers = [*here, *((self._chosen.model,) if self._chosen is not None else ())]
        if all(offer.is_loaded for offer in offers):
            return 0.0
        told = [2 * offer.load_seconds for offer in offers if offer.load_seconds is not None]
        return min(self._patience.load, max(told, default=self._patience.load))

    def _left_seconds(self) -> float:
        patience = self._patience
        limit = patience.stream_deadline if self._call.streams else patience.deadline
        return limit - (self._loop.time() - self._started_at)

    def _ticket(self, node_id: NodeId) -> str:
        call = self._call
        return self._tickets.issue(
            TicketFacts(
                request_id=call.request_id,
                attempt=self._tries.number,
                node_id=node_id,
                org_id=call.principal.org_id,
                api_key_id=call.principal.key_id,
                model=call.model,
                price_version=PRICE_VERSION,
                issued_at_ms=call.started_at_ms,
            )
        )


def _unserved(code: str) -> Unserved:
    return Unserved(code, errors.text_of(code))

"""Takes requests off the link and sees each of them to its end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import RequestRefused
from byoi_agent.node import advertise
from byoi_agent.node.view import Load
from byoi_agent.serving.admission import Admission
from byoi_agent.serving.precedence import GRACE_SECONDS, Guest, Holds, give_way
from byoi_agent.serving.refusals import Refusals
from byoi_agent.serving.relay import Relay
from byoi_agent.serving.request import model_for
from byoi_agent.serving.rooms import askable, room_of
from byoi_wire.ids import RecordId
from byoi_wire.messages import ResetCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.engine.view import EngineView
    from byoi_agent.node.board import Board
    from byoi_agent.node.view import NodeView
    from byoi_agent.serving.admission import Room
    from byoi_agent.serving.neighbours import Engine, StreamSession, Surroundings
    from byoi_wire.aio.session import StreamHandler
    from byoi_wire.ids import OrgId, StreamId
    from byoi_wire.messages import AnswerHead, OpenHead

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.0


class Dispatcher:
    """Sole owner of the requests in flight.

    A request that cannot be served here is refused on the spot (`RESET(REFUSED)`, no record), so
    that the console may try another node. How many run and wait is what the node advertises. One
    for a model that is not loaded waits until it is; the pool of engines hears of every change of
    what each engine has to do, and loads by that. If it will not be loaded, those who wait go back.

    The owner's own requests (`accept_own`) go before all others: where no slot is free, a guest is
    handed back, and the console hears of fewer slots until the owner has been quiet for a while.
    """

    def __init__(self, around: Surroundings, board: Board) -> None:
        self._around = around
        self._board = board
        self._refusals = Refusals(around.clock)
        self._admission: Admission[RecordId] = Admission()
        self._holds = Holds()
        self._relays: dict[RecordId, Relay] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._only_for: OrgId | None = None
        self._drain_at: float | None = None
        self._rooms: dict[str, Room] = {}
        self._limit: int | None = None
        self._told: dict[str, tuple[int, int]] = {}
        self._busy = asyncio.Event()
        self._ended = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def around(self) -> Surroundings:
        """What the requests of guests share."""
        return self._around

    def dedicate(self, org_id: OrgId | None) -> None:
        """Refuse the requests of every other organisation from now on; None: of none."""
        self._only_for = org_id

    @property
    def load(self) -> tuple[int, int]:
        """Requests that run, and requests that wait."""
        return self._admission.running, self._admission.waiting

    @property
    def refused(self) -> Mapping[str, int]:
        """Requests sent back at the door since the start, by reason."""
        return self._refusals.counts

    def accept(self, session: StreamSession, stream: StreamId, head: OpenHead) -> StreamHandler:
        """A request begins; called for each stream that the console opens."""
        try:
            return self._admit(session, stream, head, self._around)
        except RequestRefused as refusal:
            self._refusals.note(refusal.reason)
            session.reset(stream, ResetCode.REFUSED, refusal.reason)
            return _Deaf()

    def accept_own(
        self, session: StreamSession, stream: StreamId, head: OpenHead, around: Surroundings
    ) -> StreamHandler:
        """The owner asks, whose records and energy go where `around` says.

        Raises:
            RequestRefused: not servable here now; there is nowhere else to try.
        """
        return self._admit(session, stream, head, around)

    async def idle(self, engine: str | None = None) -> None:
        """Until no request is left here, not even one whose record is being written.

        Of one `engine` if it is named; then those do not count that wait for its next start.
        """
        while self._is_busy(engine):
            await self._ended.wait()

    def _is_busy(self, engine: str | None) -> bool:
        if engine is None:
            return bool(self._relays)
        return any(
            relay.engine_key == engine and not self._admission.is_waiting(record_id)
            for record_id, relay in self._relays.items()
        )

    async def run(self) -> None:
        """Until drained or cancelled; no request is left when this returns, and each has a record.

        Cancelled, it cuts what runs.
        """
        unsubscribe = self._board.subscribe(self._look_at_engines)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                watcher = tasks.create_task(self._watch(), name="time limits of requests")
                await self._drained.wait()
                watcher.cancel()
            finally:
                self._tasks = None
                unsubscribe()

    async def drain(self, deadline_seconds: float) -> None:
        """Refuse new requests, give those that are here this long, then cut the rest."""
        self._admission.drain()
        if deadline_seconds <= 0:
            self._stop_all()
        else:
            self._drain_at = self._around.clock.monotonic() + deadline_seconds
        await self.idle()
        self._drained.set()

    def hand_back(self, reason: str) -> None:
        """The machine is its owner's: what waits goes back, what runs is cut, all in this turn."""
        for relay in tuple(self._relays.values()):
            if not relay.is_own:
                relay.hand_back(reason)

    def _admit(
        self, session: StreamSession, stream: StreamId, head: OpenHead, around: Surroundings
    ) -> Relay:
        if self._tasks is None:
            raise RequestRefused("draining")
        if not around.is_own and not self._board.view.availability.is_serving:
            raise RequestRefused("not_serving")
        if not around.is_own and self._only_for not in {None, head.org_id}:
            raise RequestRefused("dedicated")
        if (reason := around.outbox.refusal) is not None:
            raise RequestRefused(reason)
        if (engine := self._around.engine.engine_for(head.model)) is None:
            raise RequestRefused("no_such_model")
        if (reason := around.energy.refusal(head.model)) is not None:
            raise RequestRefused(reason)
        model_for(head, self._view_of(engine.key))
        self._resize()
        now = self._around.clock.monotonic()
        record_id = RecordId(head.request_id, head.attempt)
        if record_id in self._relays:  # its slot is free again, its record not yet durable
            raise RequestRefused("already_running")
        deadline = now + head.deadline_seconds
        is_own = around.is_own
        has_slot = self._admission.arrive(engine.key, record_id, deadline, now, is_own=is_own)
        relay = Relay(session, stream, head, around, engine=engine, free_slot=self._leave)
        self._relays[record_id] = relay
        if has_slot:
            relay.admit()
        self._tasks.create_task(self._see_through(relay), name=f"request {record_id}")
        if is_own and not has_slot:
            self._tasks.create_task(self._make_room(engine.key), name="room for the owner")
        self._busy.set()
        self._publish()
        return relay

    def _view_of(self, key: str) -> EngineView | None:
        """The engine as the pool shows it, which tells of models that it is yet to load."""
        return next((view for view in self._around.engine.views if view.key == key), None)

    async def _see_through(self, relay: Relay) -> None:
        try:
            await relay.run()
        except Exception:  # one request's fault must not end the others
            logger.exception("request not ended properly", extra={"record": str(relay.record_id)})
            relay.abandon()
        finally:
            del self._relays[relay.record_id]
            self._leave(relay.record_id)
            self._rest()
            ended, self._ended = self._ended, asyncio.Event()
            ended.set()

    async def _make_room(self, engine: str) -> None:
        """The owner waits there for a slot: a guest gives way, who has not begun at once."""
        self._move_guests(engine, is_pressing=False)
        clock = self._around.clock
        await clock.sleep_until(clock.monotonic() + GRACE_SECONDS)
        self._move_guests(engine, is_pressing=True)

    def _move_guests(self, engine: str, *, is_pressing: bool) -> None:
        relays = [self._relays[key] for key in self._admission.guests_at(engine)]
        guests = [Guest(relay, relay.has_begun, relay.is_over) for relay in relays]
        _, waiting = self._admission.own_at(engine)
        for relay in give_way(guests, waiting, is_pressing=is_pressing):
            logger.info("guest gives way to the owner", extra={"record": str(relay.record_id)})
            relay.hand_back("owner_first")

    def _hold(self) -> None:
        """What the owner uses, and used lately, stays the owner's."""
        now = self._around.clock.monotonic()
        for view in self._around.engine.views:
            here = sum(self._admission.own_at(view.key))
            self._holds.note(view.key, here, view.slots, now)
        held = self._holds.at(now)
        if held != self._board.view.held:
            self._start(self._admission.hold(held, now))
            self._board.update(held=held)

    def _leave(self, record_id: RecordId) -> None:
        self._start(self._admission.leave(record_id, self._around.clock.monotonic()))
        self._resize()
        self._publish()

    def _resize(self) -> None:
        view, engines = self._board.view, self._around.engine.views
        queue = advertise.queue_of(view)
        rooms = {each.key: room_of(each, queue) for each in engines}
        if (rooms, view.slots) == (self._rooms, self._limit):
            return
        self._rooms, self._limit = rooms, view.slots
        now = self._around.clock.monotonic()
        self._start(self._admission.resize(rooms, view.slots, now))
        here = {each.key for each in engines if each.state == "ready" or askable(each)}
        for relay in tuple(self._relays.values()):
            if relay.engine_key not in here:
                self._send_on(relay)
        # Not now: the board is telling of another change, and each has to hear of them in order.
        asyncio.get_running_loop().call_soon(self._publish)

    def _send_on(self, relay: Relay) -> None:
        """Its engine goes, or will not be loaded: another here may have its model, or a node."""
        record_id = relay.record_id
        if not self._admission.is_waiting(record_id):
            if not relay.can_begin:  # else that engine waits for its end
                relay.give_back("engine_not_ready")
            return
        try:
            other = self._other_engine(relay)
            started = self._admission.move(record_id, other.key, self._around.clock.monotonic())
        except RequestRefused as refusal:
            relay.give_back(refusal.reason)
            return
        relay.move_to(other)
        self._start(started)

    def _other_engine(self, relay: Relay) -> Engine:
        """Raises RequestRefused where nobody else has its model."""
        other = self._around.engine.engine_for(relay.model)
        if other is None or other.key == relay.engine_key:
            raise RequestRefused("engine_not_ready")
        if (view := self._view_of(other.key)) is None or not askable(view):
            raise RequestRefused("engine_not_ready")
        return other

    def _look_at_engines(self, _view: NodeView) -> None:
        """Whoever waits for an engine that sleeps or is gone must not wait until another ends."""
        self._resize()

    def _start(self, record_ids: Iterable[RecordId]) -> None:
        for record_id in record_ids:
            self._relays[record_id].admit()

    async def _watch(self) -> None:
        """One timer for all requests, and none while there are none."""
        clock = self._around.clock
        while True:
            await self._busy.wait()
            await clock.sleep_until(clock.monotonic() + CHECK_SECONDS)
            now = clock.monotonic()
            self._admission.expired(now)  # each relay tells its own stream
            for relay in tuple(self._relays.values()):
                relay.check(now)
            self._hold()
            self._rest()
            if self._drain_at is not None and now >= self._drain_at:
                self._stop_all()

    def _stop_all(self) -> None:
        for relay in tuple(self._relays.values()):
            relay.stop()

    def _rest(self) -> None:
        """Nothing is timed while nothing is here, and nothing held for the owner."""
        if not self._relays and self._holds.is_empty:
            self._busy.clear()

    def _publish(self) -> None:
        self._hold()
        self._board.update(load=Load(*self.load, *self._admission.own))
        self._tell_demand()

    def _tell_demand(self) -> None:
        """A request whose record is being written still needs its engine's tokenizer."""
        here = Counter(relay.engine_key for relay in self._relays.values())
        for key in here.keys() | self._told.keys():
            waiting = self._admission.waiting_for(key)
            load = (here[key] - waiting, waiting)
            if self._told.get(key, (0, 0)) != load:
                self._told[key] = load
                self._around.engine.demand(key, *load)


class _Deaf:
    """Hears what still comes of a refused stream."""

    def head_received(self, head: AnswerHead) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def end_received(self, trailer: bytes) -> None: ...
    def reset_received(self, code: ResetCode, reason: str) -> None: ...
    def send_allowed(self) -> None: ...
    def link_lost(self) -> None: ...
    def link_resumed(self) -> None: ...

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.errors import RequestRefused
from byoi_agent.serving.admission import OWN_QUEUE, Admission, Room


def with_room(slots, queue):
    """One engine, as most nodes have."""
    admission = Admission()
    admission.resize({"one": Room(slots, queue)}, None, 0.0)
    return admission


def arrive(admission, *keys, engine="one", deadline=100.0, now=0.0):
    return [admission.arrive(engine, key, deadline, now) for key in keys]


def test_slots_first_then_places_then_refusal():
    admission = with_room(2, 2)
    assert arrive(admission, "a", "b", "c", "d") == [True, True, False, False]
    assert [admission.is_waiting(key) for key in "abcd"] == [False, False, True, True]
    with pytest.raises(RequestRefused, match="over_capacity"):
        arrive(admission, "e")
    assert (admission.running, admission.waiting) == (2, 2)


def test_who_waits_gets_the_slot_in_order_of_arrival():
    admission = with_room(1, 3)
    arrive(admission, "a", "b", "c", "d")
    assert admission.leave("a", 1.0) == ["b"]
    assert admission.leave("c", 1.0) == []
    assert admission.leave("b", 1.0) == ["d"]


def test_nobody_overtakes_those_who_wait():
    admission = with_room(1, 3)
    arrive(admission, "a", "b")
    assert admission.leave("a", 1.0) == ["b"]
    assert arrive(admission, "c") == [False]


@pytest.mark.parametrize(
    ("before", "key", "deadline", "reason"),
    [
        (["drain"], "x", 100.0, "draining"),
        ([], "x", 0.0, "deadline_passed"),
        (["x"], "x", 100.0, "already_running"),
        (["y", "x"], "x", 100.0, "already_running"),
    ],
)
def test_refusals(before, key, deadline, reason):
    admission = with_room(1, 1)
    for step in before:
        if step == "drain":
            admission.drain()
        else:
            arrive(admission, step)
    with pytest.raises(RequestRefused, match=reason):
        arrive(admission, key, deadline=deadline)


def test_draining_lets_those_who_wait_have_their_turn():
    admission = with_room(1, 1)
    arrive(admission, "a", "b")
    admission.drain()
    assert admission.is_draining
    assert admission.leave("a", 1.0) == ["b"]


def test_the_late_get_no_slot():
    admission = with_room(1, 3)
    admission.arrive("one", "a", 100.0, 0.0)
    admission.arrive("one", "b", 5.0, 0.0)
    admission.arrive("one", "c", 100.0, 0.0)
    assert admission.leave("a", 6.0) == ["c"]
    assert admission.expired(6.0) == ["b"]
    assert admission.expired(6.0) == []


def test_more_slots_let_more_run_and_fewer_take_none_away():
    admission = with_room(1, 3)
    arrive(admission, "a", "b", "c", "d")
    assert admission.resize({"one": Room(3, 3)}, None, 1.0) == ["b", "c"]
    assert admission.resize({"one": Room(1, 3)}, None, 1.0) == []
    assert admission.running == 3
    assert admission.leave("a", 1.0) == []
    assert admission.leave("b", 1.0) == []
    assert admission.leave("c", 1.0) == ["d"]


def test_leaving_twice_is_no_news():
    admission = with_room(1, 1)
    arrive(admission, "a", "b")
    assert admission.leave("a", 1.0) == ["b"]
    assert admission.leave("a", 1.0) == []
    assert admission.running == 1


def test_a_crowd_at_one_engine_keeps_nobody_from_another():
    admission = Admission()
    admission.resize({"a": Room(1, 1), "b": Room(1, 1)}, None, 0.0)
    assert arrive(admission, 1, 2, engine="a") == [True, False]
    with pytest.raises(RequestRefused, match="over_capacity"):
        arrive(admission, 3, engine="a")
    assert arrive(admission, 4, 5, engine="b") == [True, False]
    assert (admission.waiting_for("a"), admission.waiting_for("b")) == (1, 1)
    assert admission.leave(4, 1.0) == [5]
    assert admission.waiting_for("b") == 0


def test_who_waits_for_an_engine_that_is_not_loaded_runs_when_it_is():
    admission = Admission()
    admission.resize({"a": Room(0, 2)}, None, 0.0)
    assert arrive(admission, 1, 2, engine="a") == [False, False]
    assert admission.resize({"a": Room(2, 2)}, None, 1.0) == [1, 2]


def test_an_engine_that_is_not_there_takes_nobody():
    with pytest.raises(RequestRefused, match="over_capacity"):
        arrive(Admission(), 1, engine="gone")


def test_the_limit_of_all_engines_goes_to_who_came_first():
    admission = Admission()
    admission.resize({"a": Room(2, 9), "b": Room(2, 9)}, 2, 0.0)
    assert arrive(admission, 1, 2, 3, engine="a") == [True, True, False]
    assert arrive(admission, 4, engine="b") == [False]
    assert arrive(admission, 5, engine="a") == [False]
    assert admission.leave(1, 1.0) == [3]
    assert admission.leave(2, 1.0) == [4]
    assert admission.resize({"a": Room(2, 9), "b": Room(2, 9)}, None, 1.0) == [5]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from("ab"), st.integers(0, 8), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.integers(0, 8)),
        st.tuples(
            st.just("resize"),
            st.fixed_dictionaries({"a": st.integers(0, 4), "b": st.integers(0, 4)}),
            st.integers(0, 4),
            st.one_of(st.none(), st.integers(0, 4)),
        ),
        st.tuples(
            st.just("expired"),
        ),
    ),
    max_size=60,
)


class Watched:
    """An admission beside a model of it that keeps lists."""

    def __init__(self, slots, queue) -> None:
        self.admission: Admission[int] = Admission()
        self.running: dict[int, str] = {}
        self.waiting: list[tuple[int, str, float]] = []
        self.resize(0, dict.fromkeys("ab", slots), queue, None)

    def arrive(self, now, engine, key, patience) -> None:
        try:
            has_slot = self.admission.arrive(engine, key, now + patience, now)
        except RequestRefused:
            return
        if has_slot:
            self._runs(engine, key)
            assert all(e != engine for _, e, _ in self.waiting), "nobody overtakes"
        else:
            self.waiting.append((key, engine, now + patience))
            assert sum(e == engine for _, e, _ in self.waiting) <= self.queue

    def leave(self, now, key) -> None:
        self.running.pop(key, None)
        self.waiting = [each for each in self.waiting if each[0] != key]
        self._started(self.admission.leave(key, now), now)

    def resize(self, now, slots, queue, limit) -> None:
        self.slots, self.queue, self.limit = slots, queue, limit
        rooms = {engine: Room(count, queue) for engine, count in slots.items()}
        self._started(self.admission.resize(rooms, limit, now), now)

    def expired(self, now) -> None:
        late = {k for k, _, deadline in self.waiting if now >= deadline}
        assert set(self.admission.expired(now)) == late
        self.waiting = [each for each in self.waiting if each[0] not in late]

    def _started(self, keys, now) -> None:
        for key in keys:
            (engine,) = [e for k, e, _ in self.waiting if k == key]
            first = next(k for k, e, deadline in self.waiting if e == engine and now < deadline)
            assert key == first, "in order"
            self.waiting = [each for each in self.waiting if each[0] != key]
            self._runs(engine, key)

    def _runs(self, engine, key) -> None:
        self.running[key] = engine
        assert list(self.running.values()).count(engine) <= self.slots[engine]
        assert self.limit is None or len(self.running) <= self.limit


@given(steps, st.integers(1, 3), st.integers(0, 4))
def test_never_more_than_the_slots_in_order_and_everyone_finishes(steps, slots, queue):
    watched = Watched(slots, queue)
    for now, (name, *args) in enumerate(steps):
        getattr(watched, name)(now, *args)
        admission = watched.admission
        assert admission.running == len(watched.running)
        assert admission.waiting == len(watched.waiting)
        for engine in "ab":
            queued = sum(e == engine for _, e, _ in watched.waiting)
            assert admission.waiting_for(engine) == queued
    end = len(steps)
    watched.expired(end)
    watched.resize(end, {"a": 1, "b": 1}, 4, None)
    while watched.running or watched.waiting:
        assert watched.running, "somebody waits and nobody runs"
        watched.leave(end, next(iter(watched.running)))
    assert (watched.admission.running, watched.admission.waiting) == (0, 0)


def test_who_waits_may_wait_at_another_engine_in_his_old_order():
    admission = Admission()
    admission.resize({"one": Room(0, 4), "two": Room(1, 2)}, None, 0.0)
    arrive(admission, "a", "b", "c")
    arrive(admission, "x", "y", engine="two")
    assert admission.move("a", "two", 0.0) == []
    with pytest.raises(RequestRefused, match="over_capacity"):
        admission.move("b", "two", 0.0)
    assert (admission.waiting_for("one"), admission.waiting_for("two")) == (2, 2)
    assert admission.leave("x", 0.0) == ["a"], "it came before y"
    admission.resize({"one": Room(0, 4), "two": Room(2, 2)}, None, 0.0)
    admission.leave("y", 0.0)
    assert admission.move("b", "two", 0.0) == ["b"]


# The owner first


def arrive_own(admission, *keys, engine="one", deadline=100.0):
    return [admission.arrive(engine, key, deadline, 0.0, is_own=True) for key in keys]


def test_the_owner_never_waits_behind_a_guest():
    admission = with_room(2, 5)
    arrive(admission, "a", "b", "c", "d")
    assert arrive_own(admission, "mine", "my other") == [False, False]
    assert (admission.own, admission.own_at("one")) == ((0, 2), (0, 2))
    assert admission.waiting_for("one") == 4
    assert admission.guests_at("one") == ("a", "b")
    assert admission.leave("b", 1.0) == ["mine"]
    assert admission.leave("a", 1.0) == ["my other"]
    assert (admission.own, admission.own_at("one")) == ((2, 0), (2, 0))
    assert admission.guests_at("one") == ()
    assert admission.leave("mine", 1.0) == ["c"]


def test_a_full_queue_of_guests_and_the_limit_for_them_keep_nobody_of_the_owners_out():
    admission = Admission()
    admission.resize({"one": Room(3, 1)}, 1, 0.0)
    assert arrive(admission, "a", "b") == [True, False]
    assert arrive_own(admission, "x", "y", "z") == [True, True, False]
    assert admission.leave("x", 1.0) == ["z"]
    arrive_own(admission, *range(OWN_QUEUE))
    with pytest.raises(RequestRefused, match="over_capacity"):
        arrive_own(admission, "one more")


def test_what_is_held_for_the_owner_no_guest_gets():
    admission = with_room(2, 5)
    assert admission.hold({"one": 1}, 0.0) == []
    assert arrive(admission, "a", "b") == [True, False]
    assert arrive_own(admission, "mine") == [True]
    assert admission.leave("mine", 1.0) == []
    assert admission.hold({}, 1.0) == ["b"]


def test_the_owners_seats_are_beyond_the_slots_and_no_guests():
    admission = Admission()
    admission.resize({"one": Room(2, 5, own_seats=1)}, None, 0.0)
    admission.hold({"one": 2}, 0.0)
    assert arrive(admission, "a", "b") == [True, False]
    assert arrive_own(admission, "x", "y", "z") == [True, True, False]
    assert admission.leave("a", 1.0) == ["z"]
    assert admission.leave("x", 1.0) == ["b"], "two of the owner's take the seat and one slot"


def test_an_engine_that_is_not_loaded_has_no_seat_for_the_owner_either():
    admission = Admission()
    admission.resize({"one": Room(0, 5, own_seats=1), "two": Room(1, 0)}, None, 0.0)
    assert arrive_own(admission, "x", "y") == [False, False]
    assert admission.move("x", "two", 0.0) == ["x"]
    assert admission.own_at("one") == (0, 1)
    assert arrive_own(admission, *range(OWN_QUEUE), engine="two") == [False] * OWN_QUEUE
    with pytest.raises(RequestRefused, match="over_capacity"):
        admission.move("y", "two", 0.0)


def test_the_owners_patience_ends_too():
    admission = with_room(1, 1)
    arrive(admission, "a")
    arrive_own(admission, "mine", deadline=5.0)
    assert admission.expired(6.0) == ["mine"]
    assert admission.own == (0, 0)
    arrive_own(admission, "mine")
    assert admission.leave("mine", 7.0) == []
    assert admission.own == (0, 0)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("guest"), st.integers(0, 30)),
        st.tuples(st.just("own"), st.integers(31, 60)),
        st.tuples(st.just("leave"), st.integers(0, 60)),
        st.tuples(st.just("hold"), st.integers(0, 4)),
        st.tuples(st.just("resize"), st.integers(0, 4), st.integers(0, 2)),
    ),
    max_size=60,
)


class WithOwner:
    """An admission beside a model of it; keys above 30 are the owner's."""

    def __init__(self, slots, seats) -> None:
        self.admission: Admission[int] = Admission()
        self.running, self.waiting, self.held = set(), [], 0
        self.resize(slots, seats)

    def guest(self, key) -> None:
        self._arrive(key, is_own=False)

    def own(self, key) -> None:
        self._arrive(key, is_own=True)

    def leave(self, key) -> None:
        self.running.discard(key)
        self.waiting = [other for other in self.waiting if other != key]
        self._started(self.admission.leave(key, 0.0))

    def hold(self, held) -> None:
        self.held = held
        self._started(self.admission.hold({"one": held}, 0.0))

    def resize(self, slots, seats) -> None:
        self.slots, self.seats = slots, seats
        self._started(self.admission.resize({"one": Room(slots, 30, seats)}, None, 0.0))

    def check(self) -> None:
        own = sum(key > 30 for key in self.running)
        assert self.admission.own == (own, sum(key > 30 for key in self.waiting))
        guests = {key for key in self.running if key <= 30}
        assert set(self.admission.guests_at("one")) == guests
        if self.slots and len(self.running) < self.slots + self.seats:
            assert not any(key > 30 for key in self.waiting), "a slot is lost to the owner"
        if len(guests) + max(0, max(own, self.held) - self.seats) < self.slots:
            assert not self.waiting, "a slot is lost to guests"

    def _arrive(self, key, *, is_own) -> None:
        if key in self.running or key in self.waiting:
            return
        own_waits = any(other > 30 for other in self.waiting)
        has_slot = self.admission.arrive("one", key, 1.0, 0.0, is_own=is_own)
        assert not (has_slot and own_waits), "nobody overtakes the owner"
        self.waiting.append(key)
        self._started([key] if has_slot else [])

    def _started(self, keys) -> None:
        for key in keys:
            first = [other for other in self.waiting if other > 30] or self.waiting
            assert key == first[0], "the owner first, each in order"
            self.waiting.remove(key)
            self.running.add(key)


@given(moves, st.integers(1, 4), st.integers(0, 2))
def test_no_guest_is_before_the_owner_no_slot_is_lost_and_nobody_starves(moves, slots, seats):
    watched = WithOwner(slots, seats)
    for name, *args in moves:
        getattr(watched, name)(*args)
        watched.check()
    for key in [*watched.running, *watched.waiting]:
        if key > 30:
            watched.leave(key)
    watched.hold(0)  # the owner is quiet
    watched.resize(1, 0)
    while watched.waiting:
        assert watched.running, "a guest starves"
        watched.leave(min(watched.running))

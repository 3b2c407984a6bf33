from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.errors import RequestRefused
from byoi_agent.serving.admission import Admission


def arrive(admission, *keys, deadline=100.0, now=0.0):
    return [admission.arrive(key, deadline, now) for key in keys]


def test_slots_first_then_places_then_refusal():
    admission = Admission(2, 2)
    assert arrive(admission, "a", "b", "c", "d") == [True, True, False, False]
    with pytest.raises(RequestRefused, match="over_capacity"):
        arrive(admission, "e")
    assert (admission.running, admission.waiting) == (2, 2)


def test_who_waits_gets_the_slot_in_order_of_arrival():
    admission = Admission(1, 3)
    arrive(admission, "a", "b", "c", "d")
    assert admission.leave("a", 1.0) == ["b"]
    assert admission.leave("c", 1.0) == []
    assert admission.leave("b", 1.0) == ["d"]


def test_nobody_overtakes_those_who_wait():
    admission = Admission(1, 3)
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
    admission = Admission(1, 1)
    for step in before:
        if step == "drain":
            admission.drain()
        else:
            arrive(admission, step)
    with pytest.raises(RequestRefused, match=reason):
        arrive(admission, key, deadline=deadline)


def test_draining_lets_those_who_wait_have_their_turn():
    admission = Admission(1, 1)
    arrive(admission, "a", "b")
    admission.drain()
    assert admission.is_draining
    assert admission.leave("a", 1.0) == ["b"]


def test_the_late_get_no_slot():
    admission = Admission(1, 3)
    admission.arrive("a", 100.0, 0.0)
    admission.arrive("b", 5.0, 0.0)
    admission.arrive("c", 100.0, 0.0)
    assert admission.leave("a", 6.0) == ["c"]
    assert admission.expired(6.0) == ["b"]
    assert admission.expired(6.0) == []


def test_more_slots_let_more_run_and_fewer_take_none_away():
    admission = Admission(1, 3)
    arrive(admission, "a", "b", "c", "d")
    assert admission.resize(3, 3, 1.0) == ["b", "c"]
    assert admission.resize(1, 3, 1.0) == []
    assert admission.running == 3
    assert admission.leave("a", 1.0) == []
    assert admission.leave("b", 1.0) == []
    assert admission.leave("c", 1.0) == ["d"]


def test_leaving_twice_is_no_news():
    admission = Admission(1, 1)
    arrive(admission, "a", "b")
    assert admission.leave("a", 1.0) == ["b"]
    assert admission.leave("a", 1.0) == []
    assert admission.running == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 8), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.integers(0, 8)),
        st.tuples(st.just("resize"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(
            st.just("expired"),
        ),
    ),
    max_size=60,
)


class Watched:
    """An admission beside a model of it that keeps lists."""

    def __init__(self, slots, queue) -> None:
        self.admission: Admission[int] = Admission(slots, queue)
        self.slots, self.queue = slots, queue
        self.running: set[int] = set()
        self.waiting: list[tuple[int, float]] = []

    def arrive(self, now, key, patience) -> None:
        try:
            has_slot = self.admission.arrive(key, now + patience, now)
        except RequestRefused:
            return
        if has_slot:
            self.running.add(key)
            assert len(self.running) <= self.slots
        else:
            self.waiting.append((key, now + patience))
            assert len(self.waiting) <= self.queue

    def leave(self, now, key) -> None:
        self.running.discard(key)
        self.waiting = [(k, d) for k, d in self.waiting if k != key]
        self._started(self.admission.leave(key, now), now)

    def resize(self, now, slots, queue) -> None:
        self.slots, self.queue = slots, queue
        self._started(self.admission.resize(slots, queue, now), now)

    def expired(self, now) -> None:
        late = {k for k, deadline in self.waiting if now >= deadline}
        assert set(self.admission.expired(now)) == late
        self.waiting = [(k, d) for k, d in self.waiting if k not in late]

    def _started(self, keys, now) -> None:
        for key in keys:
            assert key == next(k for k, deadline in self.waiting if now < deadline), "in order"
            self.waiting = [(k, d) for k, d in self.waiting if k != key]
            self.running.add(key)
            assert len(self.running) <= self.slots


@given(steps, st.integers(1, 3), st.integers(0, 4))
def test_never_more_than_the_slots_in_order_and_everyone_finishes(steps, slots, queue):
    watched = Watched(slots, queue)
    for now, (name, *args) in enumerate(steps):
        getattr(watched, name)(now, *args)
        admission = watched.admission
        assert admission.running == len(watched.running)
        assert admission.waiting == len(watched.waiting)
    end = len(steps)
    watched.expired(end)
    watched.resize(end, 1, 4)
    while watched.running or watched.waiting:
        assert watched.running, "somebody waits and nobody runs"
        watched.leave(end, next(iter(watched.running)))
    assert (watched.admission.running, watched.admission.waiting) == (0, 0)

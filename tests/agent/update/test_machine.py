from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.update.machine import (
    ATTEMPTS,
    BY_HAND,
    DONE,
    INTERRUPTED,
    POSTPONED,
    STUCK,
    TAKEN_BACK,
    Change,
    Commit,
    Committed,
    Committing,
    Discard,
    Drain,
    Drained,
    Draining,
    EndDrain,
    Failed,
    Fetch,
    Fetched,
    Fetching,
    Found,
    GoBack,
    GoingBack,
    Idle,
    Prove,
    Proved,
    Proving,
    Remember,
    Replaced,
    Resumed,
    Stage,
    Staged,
    Staging,
    Switch,
    Switched,
    Switching,
    Tell,
    WentBack,
    step,
)

CHANGE = Change("1.0.0", "1.1.0")
BESIDE = Change("1.2.0", "1.1.0")
HERE = Change("1.0.0", "1.1.0", is_here=True)
RAN = Change("1.0.0", "1.1.0", was_running=True, was_serving=True)
DOWN = "the machine went down twice while it was being started"

TABLE = [
    (Idle(), Found(CHANGE), Fetching(CHANGE), [Fetch(CHANGE)]),
    (Idle(), Found(HERE), Draining(HERE), [Drain(HERE)]),
    (Fetching(CHANGE), Fetched(), Staging(CHANGE), [Stage(CHANGE)]),
    (Staging(CHANGE), Staged(), Draining(CHANGE), [Drain(CHANGE)]),
    (Draining(CHANGE), Drained(True, True), Switching(RAN), [Switch(RAN)]),
    (Switching(RAN), Switched(), Proving(RAN), [Prove(RAN)]),
    (Switching(RAN, 2), Switched(), Proving(RAN, 2), [Prove(RAN)]),
    (Proving(RAN), Proved(), Committing(RAN), [Commit(RAN)]),
    (Committing(RAN), Committed(), Idle(), [Tell(RAN, DONE)]),
    (Committing(RAN), Failed("x"), Idle(), [Tell(RAN, DONE, "x")]),
    (Committing(RAN), Resumed(), Committing(RAN), [Commit(RAN)]),
    (Fetching(CHANGE), Failed("x"), Idle(), [Discard(CHANGE), Tell(CHANGE, POSTPONED, "x")]),
    (Staging(CHANGE), Failed("x"), Idle(), [Discard(CHANGE), Tell(CHANGE, POSTPONED, "x")]),
    (Staging(CHANGE), Resumed(), Idle(), [Discard(CHANGE), Tell(CHANGE, POSTPONED, INTERRUPTED)]),
    (Draining(CHANGE), Failed("x"), Idle(), [EndDrain(CHANGE), Tell(CHANGE, POSTPONED, "x")]),
    (Draining(CHANGE), Resumed(), Idle(), [EndDrain(CHANGE), Tell(CHANGE, POSTPONED, INTERRUPTED)]),
    (Switching(RAN), Failed("x"), GoingBack(RAN, "x"), [GoBack(RAN)]),
    (Proving(RAN), Failed("x"), GoingBack(RAN, "x"), [GoBack(RAN)]),
    (Switching(RAN), Resumed(), Switching(RAN, 2), [Switch(RAN)]),
    (Proving(RAN), Resumed(), Switching(RAN, 2), [Switch(RAN)]),
    (Proving(RAN, ATTEMPTS), Resumed(), GoingBack(RAN, DOWN), [GoBack(RAN)]),
    (GoingBack(RAN, "x"), WentBack(), Idle(), [Remember("1.1.0", "x"), Tell(RAN, TAKEN_BACK, "x")]),
    (GoingBack(RAN, "x"), Resumed(), GoingBack(RAN, "x"), [GoBack(RAN)]),
    (GoingBack(RAN, "x"), Failed("y"), GoingBack(RAN, "x"), [Tell(RAN, STUCK, "y")]),
    *[
        (state, Replaced("1.2.0"), Idle(), [EndDrain(CHANGE), Tell(BESIDE, POSTPONED, BY_HAND)])
        for state in (
            Fetching(CHANGE),
            Staging(CHANGE),
            Draining(CHANGE),
            Switching(CHANGE),
            Proving(CHANGE, 2),
            Committing(CHANGE),
            GoingBack(CHANGE, "x"),
        )
    ],
    (Idle(), Replaced("1.2.0"), Idle(), []),
    (Idle(), Proved(), Idle(), []),
    (Proving(RAN), Found(CHANGE), Proving(RAN), []),
]


@pytest.mark.parametrize(("state", "event", "after", "commands"), TABLE)
def test_what_follows_what(state, event, after, commands):
    assert step(state, event) == (after, commands)


class World:
    """A node with two versions, on which any order may fail, or be cut off half-way."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.journal = Idle()
        self.current = "old"
        self.proved = {"old"}
        self.is_staged = False
        self.failed: set[str] = set()
        self.outcomes: list[str] = []

    def run(self, event, cuts: int) -> None:
        """Until nothing is ordered any more; power goes at most so often."""
        while True:
            state, commands = step(self.journal, event)
            if cuts and self.draw(st.booleans()):
                cuts, event = cuts - 1, Resumed()  # before the disk has it
                continue
            self.journal = state
            self.keep(commands)
            order = next((one for one in commands if not isinstance(one, KEPT)), None)
            if order is None:
                return
            is_cut = cuts and self.draw(st.booleans())
            cuts -= bool(is_cut)
            event = self.carry_out(order, is_cut=bool(is_cut))

    def keep(self, commands) -> None:
        for command in commands:
            if isinstance(command, Remember):
                self.failed.add(command.version)
            if isinstance(command, Tell):
                self.outcomes.append(command.outcome)

    def carry_out(self, order, *, is_cut: bool):
        happens = not is_cut or self.draw(st.booleans())
        succeeds = self.draw(st.booleans()) or isinstance(order, GoBack)
        if happens and succeeds:
            match order:
                case Stage():
                    self.is_staged = True
                case Switch():
                    assert self.is_staged, "switched to what is not there"
                    self.current = "new"
                case Prove():
                    self.proved.add(self.current)
                case GoBack():
                    self.current = "old"
        if is_cut:
            return Resumed()
        return OUTCOMES[type(order)] if succeeds else Failed("why")


KEPT = (Discard, EndDrain, Remember, Tell)
OUTCOMES = {
    Fetch: Fetched(),
    Stage: Staged(),
    Drain: Drained(True, True),
    Switch: Switched(),
    Prove: Proved(),
    Commit: Committed(),
    GoBack: WentBack(),
}


@given(st.data(), st.integers(0, 6))
def test_whenever_power_goes_it_ends_on_the_old_version_or_on_one_that_proved_itself(data, cuts):
    world = World(data.draw)
    world.run(Found(Change("old", "new")), cuts)
    world.run(Resumed(), 0)
    assert world.journal == Idle()
    assert world.current in world.proved
    if world.current == "old" and DONE not in world.outcomes:
        assert world.failed == ({"new"} if TAKEN_BACK in world.outcomes else set())
    if DONE in world.outcomes:
        assert world.current == "new"


def test_what_was_taken_back_is_remembered_in_the_same_write_that_ends_it():
    for state in (row[0] for row in TABLE):
        for event in (row[1] for row in TABLE):
            ends_with_its_memory(state, event)


def ends_with_its_memory(state, event):
    after, commands = step(state, event)
    taken_back = any(isinstance(one, Tell) and one.outcome == TAKEN_BACK for one in commands)
    assert any(isinstance(one, Remember) for one in commands) == taken_back
    if taken_back:
        assert after == Idle()


def test_a_version_is_begun_with_no_more_often_than_allowed():
    state, starts = Switching(RAN), 1
    while isinstance(state, Switching | Proving):
        if isinstance(state, Switching):
            state, _ = step(state, Switched())
        state, commands = step(state, Resumed())
        starts += Switch(RAN) in commands
    assert starts == ATTEMPTS
    assert dataclasses.asdict(state)["why"] == DOWN

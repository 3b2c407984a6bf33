from __future__ import annotations

import queue

import pytest

from byoi_agent.engine.guard_windows import ENDED, LEASH_GONE, Guard, Sizes, read_leash


class Machine:
    """An engine and the processes of its job, on a clock that stands still."""

    pid = 7

    def __init__(self, *others):
        self.alive = [self.pid, *others]
        self.told = []
        self.asked = []
        self.dies_of_break = True
        self.now = 100.0
        self.guard = None

    def wait(self):
        return 5

    def kill(self):
        self.end(self.pid)

    def others(self):
        return list(self.alive)

    def end(self, pid):
        if pid in self.alive:
            self.alive.remove(pid)
        if pid == self.pid:
            self.guard.words.put(ENDED)

    def ask_to_leave(self, pid):
        self.asked.append(pid)
        if self.dies_of_break:
            self.end(pid)

    def guarded(self, *words):
        self.guard = Guard(
            self, self, grace_seconds=0.01, report=self.told.append, now=lambda: self.now
        )
        for word in words:
            self.guard.words.put(word)
        self.guard.run()
        return self


def test_the_structures_are_as_large_as_windows_headers_say():
    assert Sizes() == (144, 64, 8)


def test_an_engine_that_ends_by_itself_takes_its_children_along():
    machine = Machine(8, 9).guarded(ENDED)
    assert machine.told == [{"started": 7, "ticks": 0}, {"exited": 5}]
    assert not machine.alive


def test_asked_to_leave_it_gets_a_break_first():
    machine = Machine(8).guarded("terminate 5")
    assert machine.asked == [7]
    assert not machine.alive


@pytest.mark.parametrize("word", ["terminate 0.01", LEASH_GONE])
def test_what_does_not_leave_in_time_is_killed(word):
    machine = Machine(8)
    machine.dies_of_break = False
    machine.guarded(word)
    assert machine.asked == [7]
    assert not machine.alive


@pytest.mark.parametrize("word", ["kill", "terminate 0"])
def test_killed_at_once_it_is_not_asked(word):
    machine = Machine(8).guarded(word)
    assert machine.asked == []
    assert not machine.alive


def test_a_later_longer_grace_takes_nothing_back():
    machine = Machine()
    machine.dies_of_break = False
    machine.guarded("terminate 0.01", "terminate 900")
    assert machine.told[-1] == {"exited": 5}


def test_words_that_are_not_known_are_passed_over():
    assert Machine().guarded("sing", "kill").told[-1] == {"exited": 5}


def test_what_the_agent_writes_is_read_by_lines_until_it_is_gone():
    words = queue.SimpleQueue()
    pieces = [b"termi", b"nate 5\nki", b"ll\n", b""]
    read_leash(lambda: pieces.pop(0), words)
    assert [words.get(timeout=0) for _ in range(3)] == ["terminate 5", "kill", LEASH_GONE]

from __future__ import annotations

import subprocess
import sys

import pytest

from byoi_agent.engine.others import Others
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading

MIB = 1024**2
NODE, ENGINE, GAME, GONE = 50, 60, 70, 80
LINES = {ENGINE: {ENGINE, 55, NODE, 1}, GAME: {GAME, 1}, GONE: {GONE}}


def card(index, *held, **facts):
    processes = tuple(DeviceProcess(pid, use, memory_used_bytes=size) for pid, use, size in held)
    return DeviceReading(index, "nvidia", "card", processes=processes, **facts)


@pytest.fixture
def lines():
    return {pid: frozenset(line) for pid, line in LINES.items()}


@pytest.fixture
def others(lines):
    return Others(lambda pid: lines[pid], own=NODE)


def test_what_this_node_s_engines_hold_is_not_counted(others):
    held = [(ENGINE, "compute", 900 * MIB), (GAME, "graphics", 300 * MIB)]
    assert others.held([card(0, *held), card(1, *held[:1])]) == {0: 512 * MIB}


def test_a_little_less_is_as_much_as_before_and_a_little_more_is_more(others):
    """Else a model at the limit would fit and not fit by turns."""
    sizes = [1000, 1100, 1000, 1030, 800, 500, 250, 0, 250]
    told = [others.held([card(0, (GAME, "graphics", size * MIB))]).get(0, 0) for size in sizes]
    assert [size // MIB for size in told] == [1024, 1280, 1280, 1280, 1280, 512, 512, 0, 256]


def test_what_is_held_of_each_card_is_told_by_itself(others):
    others.held([card(0, (GAME, "compute", 600 * MIB)), card(1, (GAME, "compute", 900 * MIB))])
    less = [card(0, (GAME, "compute", 500 * MIB)), card(1, (GAME, "compute", 100 * MIB))]
    assert others.held(less) == {0: 768 * MIB, 1: 256 * MIB}
    assert others.held([]) == {}
    assert others.held(less) == {0: 512 * MIB, 1: 256 * MIB}


def test_a_program_that_computes_and_draws_counts_once_on_each_card(others):
    twice = [(GAME, "compute", 300 * MIB), (GAME, "graphics", 300 * MIB)]
    assert others.held([card(0, *twice), card(1, *twice)]) == {0: 512 * MIB, 1: 512 * MIB}


def test_one_that_is_gone_or_hidden_is_nobody_s(others):
    assert others.held([card(0, (GONE, "compute", 300 * MIB))]) == {}


def test_an_engine_that_ends_while_it_is_listed_stays_known_as_ours(others, lines):
    listed = card(0, (ENGINE, "compute", 300 * MIB))
    others.held([listed])
    lines[ENGINE] = frozenset({ENGINE, 1})  # left behind for a moment: its parent ended first
    assert others.held([listed]) == {}
    assert others.held([card(0)]) == {}
    assert others.held([listed]) == {0: 512 * MIB}  # another one by that number


@pytest.mark.parametrize("facts", [{"is_mig": True}, {"is_memory_unified": True}])
def test_of_a_split_card_or_the_machine_s_own_memory_nothing_is_said(others, facts):
    assert others.held([card(0, (GAME, "compute", 300 * MIB), **facts)]) == {}


def test_sizes_that_are_not_told_count_as_none(others):
    assert others.held([card(0, (GAME, "compute", None)), DeviceReading(1, "nvidia", "b")]) == {}


def test_what_hangs_below_one_process_is_its_own_and_its_sibling_is_not():
    waits = (sys.executable, "-c", "input()")
    with (
        subprocess.Popen(waits, stdin=subprocess.PIPE) as node,
        subprocess.Popen(waits, stdin=subprocess.PIPE) as game,
    ):
        listed = [card(0, (node.pid, "compute", MIB), (game.pid, "compute", 300 * MIB))]
        assert Others(own=node.pid).held(listed) == {0: 512 * MIB}
        assert Others().held(listed) == {}
        game.communicate(b"\n")
        node.communicate(b"\n")

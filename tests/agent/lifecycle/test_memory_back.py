from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.engine.view import EngineView
from byoi_agent.hardware.devices import GpuUses, Holder
from byoi_agent.lifecycle.memory_back import ASLEEP_BYTES, Held, not_back

GIB = 1024**3
HELD = Held("big", frozenset({10, 11}), 20 * GIB)
READY = EngineView("ready", "vllm", pid=10, key="big")
ASLEEP = replace(READY, state="asleep")
ENDED = replace(ASLEEP, pid=None)
LOADED = GpuUses((Holder(0, 11, 20 * GIB), Holder(0, 77, GIB)), {0: 21 * GIB})


def is_back(view, now, before=LOADED, held=HELD):
    running = frozenset({10, 77} if view and view.pid else {77})
    return not not_back((held,), {"big": view} if view else {}, running, before, now)


def uses(*holders, used=GIB):
    return GpuUses(holders, {0: used})


def test_an_engine_that_has_not_obeyed_holds_its_memory():
    assert not is_back(READY, uses(used=0))


def test_one_that_ended_has_given_back_once_the_driver_lists_none_of_its_processes():
    assert not is_back(ENDED, uses(Holder(0, 11, 5)))
    assert is_back(ENDED, uses(Holder(0, 77, 30 * GIB), used=31 * GIB))
    assert is_back(None, uses())


@pytest.mark.parametrize(
    ("kept", "expected"), [(ASLEEP_BYTES, True), (ASLEEP_BYTES + 1, False), (14 * GIB, False)]
)
def test_one_that_says_it_sleeps_is_not_believed(kept, expected):
    assert is_back(ASLEEP, uses(Holder(0, 11, kept))) is expected


def test_where_no_process_is_told_the_gpus_memory_must_have_fallen():
    silent = GpuUses((Holder(0, 11, None),), {0: 21 * GIB})
    assert not is_back(ASLEEP, GpuUses((Holder(0, 11, None),), {0: 15 * GIB}), silent)
    assert is_back(ASLEEP, GpuUses((Holder(0, 11, None),), {0: 2 * GIB}), silent)
    unlisted = GpuUses((), {0: 21 * GIB})
    assert is_back(ASLEEP, GpuUses((), {0: 2 * GIB}), unlisted)
    assert not is_back(
        ASLEEP, GpuUses((), {0: 2 * GIB}), unlisted, replace(HELD, memory_bytes=None)
    )


def test_on_a_machine_without_gpus_the_processs_end_is_it():
    assert is_back(ENDED, GpuUses(), GpuUses())


def test_while_a_driver_hangs_nothing_is_seen():
    assert not is_back(ENDED, None)
    assert not is_back(ASLEEP, uses(), None)  # nobody knows what it held
    assert not is_back(ENDED, uses(Holder(0, 11, 5)), None)
    assert is_back(ENDED, uses(), None)  # it answers again
    assert is_back(ENDED, None, None)  # it hung before: the process is all that can be seen


def test_of_several_those_are_named_that_are_not_back():
    other = Held("small", frozenset({20}))
    views = {"big": READY, "small": ENDED}
    assert not_back((HELD, other), views, frozenset({11}), LOADED, uses()) == ("big",)


LENT = EngineView("ready", "attached", key="big", lends=True)
LENT_HELD = Held("big", frozenset(), is_lent=True)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (LENT, False),
        (replace(LENT, state="draining"), False),
        (replace(LENT, state="asleep"), True),
        (replace(LENT, state="asleep", lends=False), False),
        (None, False),
    ],
)
def test_a_server_that_is_not_ours_is_believed_as_long_as_it_was_not_left(view, expected):
    assert is_back(view, uses(), held=LENT_HELD) is expected
    assert is_back(view, None, None, LENT_HELD) is expected

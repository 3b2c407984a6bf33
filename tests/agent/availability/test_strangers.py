from __future__ import annotations

import pytest

from byoi_agent.availability.readings import ForeignUse
from byoi_agent.availability.strangers import DRAWS_BYTES, strangers
from byoi_agent.hardware.devices import Holder

MIB = 1024**2
NAMES = {10: "game.exe", 11: "python3", 12: "Xorg", 13: "gnome-shell", 14: "vllm"}


def found(*holders, ours=()):
    return strangers(holders, is_ours=lambda pid: pid in ours, name_of=NAMES.get)


def test_what_only_computes_counts_from_its_first_byte_whatever_its_name():
    assert found(Holder(1, 11, 1)) == (ForeignUse(1, 11, "python3", 1),)
    assert found(Holder(0, 14, 300 * MIB))[0].name == "vllm"


def test_ours_never_counts():
    assert found(Holder(0, 11, 9 * MIB), Holder(1, 11, 9 * MIB), ours={11}) == ()


@pytest.mark.parametrize("bytes_held", [DRAWS_BYTES - 1, 0])
def test_a_small_window_is_no_reason(bytes_held):
    assert found(Holder(0, 10, bytes_held, is_graphical=True)) == ()


def test_a_game_is():
    assert found(Holder(0, 10, DRAWS_BYTES, is_graphical=True))[0].name == "game.exe"


@pytest.mark.parametrize("pid", [12, 13])
def test_a_desktop_is_none_however_much_it_holds(pid):
    assert found(Holder(0, pid, 4096 * MIB, is_graphical=True)) == ()
    assert found(Holder(0, pid, 4096 * MIB)) == ()


def test_where_no_driver_says_what_is_held_only_what_computes_counts():
    assert found(Holder(0, 10, None, is_graphical=True)) == ()
    assert found(Holder(0, 11, None)) == (ForeignUse(0, 11, "python3", None),)


def test_what_is_hidden_from_us_is_told_by_its_number():
    assert found(Holder(0, 99, 5))[0].name == "process 99"


def test_they_come_in_order():
    told = found(Holder(1, 11, 5), Holder(0, 14, 5), Holder(0, 11, 5))
    assert [(one.gpu, one.pid) for one in told] == [(0, 11), (0, 14), (1, 11)]


def test_what_has_given_all_back_counts_no_more():
    assert found(Holder(0, 11, 0)) == ()

from __future__ import annotations

import sys

import pytest

from byoi_agent.doctor import timekeeping


@pytest.mark.parametrize(("state", "kept"), [(0, True), (1, True), (5, False), (-1, None)])
def test_the_kernel_knows_whether_its_clock_is_kept(tmp_path, state, kept):
    assert timekeeping.is_kept(tmp_path / "none", lambda: state) is kept


def test_a_system_that_does_not_tell_is_believed_nothing(tmp_path):
    assert timekeeping.is_kept(tmp_path / "none", lambda: None) is None


def test_where_a_unit_may_not_ask_the_kernel_systemd_s_word_counts(tmp_path):
    (tmp_path / "synchronized").touch()
    assert timekeeping.is_kept(tmp_path / "synchronized", lambda: -1) is True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells it to w32tm alone")
def test_this_machine_is_asked_without_a_fault():
    assert timekeeping.is_kept() in {True, False, None}


@pytest.mark.parametrize(("kept", "state"), [(True, "ok"), (False, "warn"), (None, "skipped")])
def test_each_answer_is_told(kept, state):
    found = timekeeping.finding(kept)
    assert (found.name, found.state) == ("clock", state)
    assert ("set-ntp" in (found.mend or "")) is (kept is False)

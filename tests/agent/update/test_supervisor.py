from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from byoi_agent.errors import AgentError
from byoi_agent.update import machine
from byoi_agent.update.journal import Journal
from byoi_agent.update.machine import (
    Change,
    Committing,
    Draining,
    Fetching,
    GoingBack,
    Idle,
    Proving,
    Switching,
)
from byoi_agent.update.supervisor import Before, Updater

FORWARD = ["drain for 1.1.0", "stop", "service from 1.0.0 to 1.1.0", "start 1.1.0"]
DRIVER = Path(__file__).with_name("power_cuts.py")


@pytest.fixture
def updater(tmp_path, installer, node):
    bundle = tmp_path / "bundle"
    bundle.write_bytes(b"1.1.0")

    def new(fetch=lambda _: bundle):
        journal = Journal(tmp_path / "journal.json", lambda: 1.0)
        journal.learn("1.0.0", 2, 1)
        return Updater(journal, installer, node, fetch, tell=lambda _: None)

    return new


def test_a_good_version_takes_over_and_the_one_before_is_kept(updater, installer, node):
    entry = updater().become("1.0.0", "1.1.0")
    assert (entry.outcome, installer.current) == (machine.DONE, "1.1.0")
    settled = "settings by 1.1.0 for itself"
    assert node.told == [*FORWARD, settled]
    assert installer.has("1.0.0")


def test_a_version_that_never_serves_is_taken_back_and_remembered(updater, installer, node):
    node.works.remove("1.1.0")
    entry = updater().become("1.0.0", "1.1.0")
    assert (entry.outcome, entry.reason) == (machine.TAKEN_BACK, "1.1.0 did not serve")
    assert installer.current == "1.0.0"
    assert not installer.has("1.1.0")
    steps = ["step down by 1.1.0 to 2", "settings by 1.1.0 for 1"]
    back = ["stop", *steps, "service from 1.1.0 to 1.0.0", "start 1.0.0"]
    assert node.told == [*FORWARD, *back]
    assert updater().journal.failed == {"1.1.0": "1.1.0 did not serve"}


def test_a_node_that_does_not_run_is_neither_stopped_nor_started(updater, installer, node):
    node.before = Before()
    assert updater().become("1.0.0", "1.1.0").outcome == machine.DONE
    renewed = "service from 1.0.0 to 1.1.0"
    assert node.told == ["drain for 1.1.0", renewed, "settings by 1.1.0 for itself"]


def test_settings_and_a_service_that_cannot_be_made_fit_do_not_keep_the_way_back_from_being_gone(
    updater, installer, node
):
    node.works.remove("1.1.0")
    node.settings_fail = True
    assert updater().become("1.0.0", "1.1.0").outcome == machine.TAKEN_BACK
    assert node.told[-1] == "start 1.0.0"


def test_requests_that_do_not_end_put_it_off_and_the_node_serves_again(updater, installer, node):
    node.refuses = "3 requests still ran"
    entry = updater().become("1.0.0", "1.1.0")
    assert (entry.outcome, entry.reason) == (machine.POSTPONED, "3 requests still ran")
    assert node.told == ["drain for 1.1.0", "serve again"]
    assert installer.current == "1.0.0"
    assert installer.has("1.1.0")
    node.refuses = None
    assert updater(fetch=None).become("1.0.0", "1.1.0").outcome == machine.DONE


@pytest.mark.parametrize("broken", ["stage", "keep"])
def test_what_goes_wrong_before_the_switch_changes_nothing(updater, installer, node, broken):
    installer.broken.add(broken)
    assert updater().become("1.0.0", "1.1.0").outcome == machine.POSTPONED
    assert (installer.current, "stop" in node.told) == ("1.0.0", False)


def test_an_index_that_fails_puts_it_off(updater, installer):
    def fetch(_):
        raise AgentError("offline")

    assert updater(fetch).become("1.0.0", "1.1.0").reason == "offline"
    assert updater().journal.state == Idle()


def test_a_switch_that_fails_is_undone(updater, installer):
    installer.broken.add("1.1.0")
    assert updater().become("1.0.0", "1.1.0").outcome == machine.TAKEN_BACK
    assert installer.current == "1.0.0"


def test_a_way_back_that_fails_is_told_and_gone_on_with_later(updater, installer, node):
    node.works.remove("1.1.0")
    installer.broken.add("1.0.0")
    assert updater().become("1.0.0", "1.1.0").outcome == machine.STUCK
    assert isinstance(updater().journal.state, GoingBack)
    installer.broken.clear()
    assert updater().resume()
    assert (installer.current, updater().journal.state) == ("1.0.0", Idle())


def test_nothing_is_resumed_where_nothing_was_broken_off(updater):
    assert not updater().resume()


@pytest.mark.parametrize("state", [Fetching, Draining, Switching, Proving, Committing, GoingBack])
def test_what_a_person_installed_after_a_loss_of_power_stays(updater, installer, node, state):
    """Neither is it taken back, nor is what now runs cleared away."""
    installer.stage(Change("", "1.2.0"), installer.folder / "current")
    installer.put("1.2.0")
    change = Change("1.0.0", "1.1.0", was_running=True)
    resumed = updater()
    resumed.journal.write(state(change, "why") if state is GoingBack else state(change))
    assert resumed.resume()
    entry = resumed.journal.history[-1]
    assert (entry.old, entry.new, entry.outcome) == ("1.2.0", "1.1.0", machine.POSTPONED)
    assert (installer.current, installer.has("1.2.0")) == ("1.2.0", True)
    assert node.told == ["serve again", "start 1.2.0"]
    assert isinstance(resumed.journal.state, Idle)
    assert resumed.journal.failed == {}


@pytest.mark.parametrize("moment", ["drain", "stop", "prove", "proved"])
def test_what_a_person_installs_while_it_is_at_work_stays(
    updater, installer, node, moment, monkeypatch
):
    """`apt install` asks nobody whether an update is just proving its version."""

    def by_hand(*_):
        installer.stage(Change("", "1.2.0"), installer.folder / "current")
        installer.put("1.2.0")
        if moment == "prove":
            raise AgentError("1.2.0 runs and not 1.1.0")
        return Before(is_running=True, is_serving=True)

    monkeypatch.setattr(node, moment.removesuffix("d"), by_hand)
    entry = updater().become("1.0.0", "1.1.0")
    assert (entry.old, entry.outcome) == ("1.2.0", machine.POSTPONED)
    assert (installer.current, installer.has("1.2.0")) == ("1.2.0", True)
    assert node.told[-2:] == ["serve again", "start 1.2.0"]
    assert entry.reason == machine.BY_HAND
    assert "interrupted" not in entry.reason
    assert updater().journal.failed == {}


def test_a_version_whose_machine_went_down_twice_is_taken_back(updater, installer):
    change = Change("1.0.0", "1.1.0", was_running=True)
    installer.stage(change, installer.folder / "versions" / "1.0.0")
    updater().journal.write(Proving(change, machine.ATTEMPTS))
    assert updater().resume()
    assert updater().journal.history[-1].outcome == machine.TAKEN_BACK


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX is a process forked")
@pytest.mark.parametrize("works", [True, False], ids=["good", "broken"])
def test_the_updater_killed_at_every_write_and_every_step_ends_whole(tmp_path, works):
    memory = Path("/dev/shm")  # what a disk keeps of a killed process, memory does as well
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        words = [sys.executable, str(DRIVER), folder, "good" if works else "broken"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert len(ends) > (30 if works else 60)
    for cuts, end in ends:
        assert end["state"] == {"state": "Idle"}, cuts
        assert end["current"] in ({"1.0.0", "1.1.0"} if works else {"1.0.0"}), cuts
        assert (end["current"] == "1.1.0") == ("updated" in end["outcomes"]), cuts
        assert end["runs"] == end["current"], cuts
    assert any(end["current"] == "1.1.0" for _, end in ends) == works

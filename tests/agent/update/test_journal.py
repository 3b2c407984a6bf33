from __future__ import annotations

import json

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.update import machine
from byoi_agent.update.journal import KEPT_ENTRIES, Journal
from byoi_agent.update.machine import Change, Idle, Proving, Remember, Tell

CHANGE = Change("1.0.0", "1.1.0", was_running=True, was_serving=True)


@pytest.fixture
def journal(tmp_path):
    return lambda: Journal(tmp_path / "journal.json", lambda: 5.0)


@pytest.mark.parametrize(
    "state",
    [
        Idle(),
        machine.Fetching(CHANGE),
        machine.Staging(CHANGE),
        machine.Draining(CHANGE),
        machine.Switching(CHANGE, 2),
        Proving(CHANGE, 2),
        machine.Committing(CHANGE),
        machine.GoingBack(CHANGE, "it never served"),
    ],
)
def test_every_state_is_read_as_it_was_written(journal, state):
    journal().write(state)
    assert journal().state == state


def test_a_file_that_is_not_there_is_the_beginning(journal):
    assert (journal().state, journal().failed, journal().history) == (Idle(), {}, ())


def test_nobody_else_may_read_or_write_what_comes_next(journal, tmp_path):
    journal().write(Proving(CHANGE))
    assert (tmp_path / "journal.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "journal.json").chmod(0o644)
    with pytest.raises(ConfigError, match="may be read by others"):
        journal()


def test_what_failed_and_what_came_of_all_is_kept_with_the_state(journal):
    journal().write(Idle(), [Remember("1.1.0", "why"), Tell(CHANGE, machine.TAKEN_BACK, "why")])
    found = journal()
    assert found.failed == {"1.1.0": "why"}
    (entry,) = found.history
    assert (entry.at, entry.old, entry.new, entry.outcome) == (5.0, "1.0.0", "1.1.0", "rolled back")
    found.write(Idle(), [machine.EndDrain(CHANGE), Tell(CHANGE, machine.DONE)])
    assert journal().failed == {}


def test_what_is_stuck_is_told_once_however_often_it_is_tried(journal):
    found, going_back = journal(), machine.GoingBack(CHANGE, "why")
    found.write(Idle(), [Tell(Change("0.9.0", "1.0.0"), machine.DONE)])
    for why in ("first", "second"):
        found.write(going_back, [Tell(CHANGE, machine.STUCK, why)])
    assert [entry.reason for entry in journal().history] == ["", "second"]


def test_one_of_a_later_version_is_left_to_that_one(journal, tmp_path):
    journal().write(Idle())
    file = tmp_path / "journal.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "schema": 2, "state": {"state": "Floating"}}))
    with pytest.raises(ConfigError, match="later version; use that one"):
        journal()


def test_it_does_not_grow_for_ever(journal):
    found = journal()
    for _ in range(KEPT_ENTRIES + 5):
        found.write(Idle(), [Tell(CHANGE, machine.POSTPONED)])
    assert len(journal().history) == KEPT_ENTRIES


def test_it_learns_which_state_a_version_keeps(journal):
    journal().learn("1.0.0", 2, 1)
    journal().learn("1.0.0", 2, 1)
    journal().write(Idle())
    assert journal().schemas == {"1.0.0": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be understood"),
        ('{"schema": 1, "state": {"state": "Flying"}}', "cannot be understood"),
        ('{"schema": 1, "state": {"state": "Proving"}}', "cannot be understood"),
        (json.dumps({"schema": 2}), "later version"),
    ],
)
def test_what_cannot_be_understood_is_no_beginning(journal, tmp_path, text, told):
    (tmp_path / "journal.json").write_text(text)
    (tmp_path / "journal.json").chmod(0o600)
    with pytest.raises(ConfigError, match=told):
        journal()

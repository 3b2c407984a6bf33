from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from byoi_agent.cli import update as module
from byoi_agent.cli import update_desk
from byoi_agent.config.installation import Installation
from byoi_agent.config.update import Update
from byoi_agent.update import machine, told
from byoi_agent.update.policy import No
from byoi_agent.update.told import Entry, Told


@dataclass
class StandInDesk:
    """`calls` is what was asked of it; `left` is what was broken off before."""

    folder: object
    no: No | None = None
    outcome: str = machine.DONE
    left: Entry | None = None
    source: str | None = "file:///index"
    calls: list = field(default_factory=list)

    @property
    def terms(self):
        return SimpleNamespace(source=self.source)

    @property
    def present(self):
        return SimpleNamespace(version="9.0.0")

    def resume(self):
        if self.left is not None:
            self.calls.append(("resume", self.left.new))
        return self.left

    def look(self, version):
        self.calls.append(("look", version))
        return SimpleNamespace(version=version or "9.1.0"), self.no

    def hold(self, why):
        self.calls.append(("hold", why))

    def become(self, version):
        self.calls.append(("become", version))
        return Entry(at=1.0, old="9.0.0", new=version, outcome=self.outcome, reason="why")

    def back(self):
        return self.become("8.9.0")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A machine with an installation; `given` is what the desk was made from."""
    app = Installation(kind="versions", root=tmp_path / "app")
    made = StandInDesk(tmp_path / "app/update")
    made.limits, made.given = Update(), {}

    def desk_of(installation, folder, **given):
        made.given = given
        return made, made.limits

    monkeypatch.setattr(module, "read_installation", lambda: app)
    monkeypatch.setattr(update_desk, "desk_of", desk_of)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    mask = os.umask(0o022)
    yield made
    os.umask(mask)


def test_the_newest_of_the_ring_is_installed(byoi, desk):
    code, out, _ = byoi("update", "--ring", "beta", "--now")
    assert (code, desk.calls) == (0, [("look", None), ("become", "9.1.0")])
    assert out == "9.1.0 is installed and has proved itself; 9.0.0 is kept.\n"
    assert desk.given == {"ring": "beta", "source": None, "is_now": True}


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (machine.TAKEN_BACK, "9.1.0 was taken back, 9.0.0 runs again: why."),
        (machine.POSTPONED, "9.1.0 was not installed, 9.0.0 goes on: why."),
        (machine.STUCK, "Mend that, then: byoi update --resume"),
    ],
)
def test_what_did_not_come_about_is_no_success(byoi, desk, outcome, words):
    desk.outcome = outcome
    code, out, _ = byoi("update")
    assert code == 1
    assert words in out


def test_a_look_installs_nothing(byoi, desk):
    assert byoi("update", "--check")[0] == 0
    assert desk.calls == [("look", None)]


def test_a_look_goes_on_with_nothing_that_was_broken_off(byoi, desk):
    desk.left = Entry(at=1.0, old="9.0.0", new="9.1.0", outcome=machine.STUCK)
    assert byoi("update", "--check")[0] == 0
    assert desk.calls == [("look", None)]


def test_a_named_version_that_cannot_be_is_refused_with_the_reason(byoi, desk):
    desk.no = No("it does not speak byoi.v1")
    code, _, err = byoi("update", "--to", "9.2.0")
    assert code == 78
    assert "9.2.0 is not installed: it does not speak byoi.v1" in err


def test_the_version_that_is_installed_may_be_named_and_nothing_happens(byoi, desk):
    desk.no = No("9.0.0 is installed")
    assert byoi("update", "--to", "9.0.0")[0] == 0
    assert desk.calls == [("look", "9.0.0")]


def test_the_version_before_is_asked_for_by_its_owner(byoi, desk):
    assert byoi("update", "--rollback")[0] == 0
    assert desk.calls == [("become", "8.9.0")]


def test_what_was_broken_off_comes_first_and_is_all(byoi, desk):
    desk.left = Entry(at=1.0, old="9.0.0", new="9.1.0", outcome=machine.DONE)
    assert byoi("update", "--unattended")[0] == 0
    assert desk.calls == [("resume", "9.1.0")]
    desk.left = None
    assert byoi("update", "--resume")[0] == 0
    assert desk.calls == [("resume", "9.1.0")]


def test_two_wishes_at_once_are_refused(byoi, desk):
    code, _, err = byoi("update", "--check", "--rollback")
    assert code == 64
    assert "give one of" in err


def test_the_timer_has_nothing_to_say_where_there_is_no_index(byoi, desk):
    desk.source = None
    assert byoi("update", "--unattended") == (0, "", "")
    assert desk.calls == []


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"automatic": "off"}, "updates are not automatic here"),
        ({"windows": ("one",)}, "waits for a window"),
    ],
)
def test_the_timer_heeds_its_owner(byoi, desk, limits, why, monkeypatch):
    desk.limits = Update().model_copy(update=limits)
    monkeypatch.setattr(module, "holds", lambda *_: False)
    assert byoi("update", "--unattended")[0] == 0
    assert desk.calls[0] == ("look", None)
    assert why in desk.calls[1][1]


def test_the_timer_asks_the_index_once_a_day_and_installs_what_is_known_at_once(byoi, desk):
    desk.folder.mkdir(parents=True)
    told.write(desk.folder, Told(checked_at=time.time()))
    byoi("update", "--unattended")
    assert desk.calls == []
    told.write(desk.folder, Told(checked_at=time.time(), available="9.1.0"))
    byoi("update", "--unattended")
    assert desk.calls == [("look", None), ("become", "9.1.0")]


def test_what_is_known_is_shown_to_people_and_programs(byoi, desk):
    desk.folder.mkdir(parents=True)
    entry = Entry(at=1.0, old="8.9.0", new="9.0.0", outcome=machine.DONE)
    told.write(desk.folder, Told(checked_at=1.0, available="9.1.0", history=(entry,)))
    code, out, _ = byoi("update", "--status")
    assert code == 0
    assert "9.1.0 is available: to install it: byoi update" in out
    assert "8.9.0 → 9.0.0  updated" in out
    assert json.loads(byoi("update", "--status", "--json")[1])["available"] == "9.1.0"

from __future__ import annotations

from pathlib import Path

import pytest

from byoi_agent.service.launcher import Remove, WriteFile
from byoi_agent.service.renewal import read, renewal

UNIT, TIMER = Path("/etc/systemd/system/byoi-agent.service"), Path("/etc/systemd/system/new.timer")
OLD, NEW = {UNIT: WriteFile(UNIT, "old", 0o600)}, {UNIT: WriteFile(UNIT, "new", 0o644)}


def test_what_is_as_the_version_before_wrote_it_becomes_the_other_ones():
    found = renewal(OLD, NEW, {UNIT: "old"}.get)
    assert (found.steps, found.kept) == ((NEW[UNIT],), ())


def test_what_its_owner_changed_stays_and_what_he_took_away_stays_away():
    found = renewal(OLD, NEW, {UNIT: "mine"}.get)
    assert (found.steps, found.kept) == ((), (UNIT,))
    assert renewal(OLD, NEW, {}.get) == renewal({}, {}, {}.get)


def test_a_file_that_only_one_version_has_comes_and_goes_with_it():
    more = {**OLD, TIMER: WriteFile(TIMER, "daily")}
    assert renewal(OLD, more, {UNIT: "old"}.get).steps == (more[TIMER],)
    assert renewal(more, OLD, {UNIT: "old", TIMER: "daily"}.get).steps == (Remove(TIMER),)
    assert renewal(more, OLD, {UNIT: "old", TIMER: "mine"}.get).kept == (TIMER,)


def test_done_twice_is_done_once():
    assert renewal(OLD, NEW, {UNIT: "new"}.get).steps == ()
    same = {UNIT: WriteFile(UNIT, "old")}
    assert renewal(OLD, same, {UNIT: "mine"}.get).kept == ()


def test_what_a_version_tells_is_read_or_refused():
    said = '[{"path": "/etc/systemd/system/byoi-agent.service", "text": "new", "mode": 420}]'
    assert read(said) == NEW
    for nonsense in ("{}x", '[{"path": "/x"}]', "[1]", "3"):
        with pytest.raises(ValueError, match=r"no form of ours|Extra data"):
            read(nonsense)


def test_units_that_only_one_version_has_are_enabled_or_disabled_where_they_say_what_starts_them():
    wanted = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
    folder, sessions = UNIT.parent, Path("/etc/systemd/user")
    more = {
        **OLD,
        TIMER: WriteFile(TIMER, wanted),
        folder / "once.service": WriteFile(folder / "once.service", "[Service]\n"),
        sessions / "desk.service": WriteFile(sessions / "desk.service", wanted),
        Path("/etc/sysusers.d/byoi.conf"): WriteFile(Path("/etc/sysusers.d/byoi.conf"), wanted),
    }
    found = renewal(OLD, more, {UNIT: "old"}.get)
    assert (found.begun, found.ended) == (("new.timer",), ())
    # Broken off between the file and its being enabled: the same again enables it.
    assert renewal(OLD, more, {path: file.text for path, file in more.items()}.get).begun == (
        "new.timer",
    )
    back = renewal(more, OLD, {path: file.text for path, file in more.items()}.get)
    assert (back.begun, back.ended) == ((), ("new.timer",))
    assert renewal(OLD, more, {UNIT: "old", TIMER: "mine"}.get).begun == ()
    assert renewal(more, more, {UNIT: "old"}.get).begun == ()

from __future__ import annotations

import errno
import os
import stat

import pytest

from byoi_agent.availability import kept as module
from byoi_agent.availability.kept import NOT_KEPT, UNREADABLE, KeptPause, KeptWishes, Switch
from byoi_agent.telemetry.health import Health

NOW = 1_800_000_000.0
PAUSE = KeptPause(since=NOW, until=NOW + 60, finish=True, actor="token")


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "availability.json"


@pytest.fixture
def opened(file, health):
    return lambda: KeptWishes(file, health, NOW)


def named(health):
    return [warning.name for warning in health.warnings]


def test_without_a_file_nothing_is_wished(opened, health):
    assert opened().wishes == module.Wishes()
    assert named(health) == []


def test_wishes_outlive_the_process_and_are_the_owners_alone(opened, file):
    first = opened()
    first.keep(pause=PAUSE)
    first.keep(switch=Switch(mode="idle", setting="dedicated", actor="token"))
    assert opened().wishes == first.wishes
    assert first.wishes.pause == PAUSE
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_wish_is_taken_back(opened):
    opened().keep(pause=PAUSE)
    opened().keep(pause=None)
    assert opened().wishes.pause is None


@pytest.mark.parametrize(
    "text",
    ["", '{"pause": {"since": 1', "[]", '{"switch": {"mode": "sometimes"}}', '{"pause": {}}'],
)
def test_a_file_that_cannot_be_understood_starts_the_node_paused(opened, file, health, text):
    file.write_text(text)
    file.chmod(0o600)
    pause = opened().wishes.pause
    assert pause.until is None
    assert named(health) == [UNREADABLE]
    assert file.with_name("availability.json.unreadable").read_text() == text


def test_a_file_that_others_may_read_is_not_believed(opened, file, health):
    file.write_text("{}")
    file.chmod(0o644)
    assert opened().wishes.pause is not None
    assert named(health) == [UNREADABLE]


def test_a_foreign_file_that_cannot_be_set_aside_is_told_all_the_same(opened, file, health):
    file.mkdir()
    file.with_name("availability.json.unreadable").write_text("in the way")
    assert opened().wishes.pause is not None
    assert named(health) == [UNREADABLE]


def test_what_a_newer_version_wrote_is_passed_over(opened, file):
    file.write_text('{"pause": {"since": 5, "colour": "red"}, "moon": 1}')
    file.chmod(0o600)
    assert opened().wishes.pause == KeptPause(since=5)


def test_the_owners_word_ends_the_warning_of_a_broken_file(opened, file, health):
    file.write_text("{")
    file.chmod(0o600)
    opened().keep(pause=None)
    assert named(health) == []
    assert opened().wishes.pause is None


def test_a_full_disk_is_told_and_the_wish_holds_all_the_same(opened, health, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = opened()
    with monkeypatch.context() as disk:
        disk.setattr(module, "write_private", full)
        kept.keep(pause=PAUSE)
    assert kept.wishes.pause == PAUSE
    assert named(health) == [NOT_KEPT]
    assert "No space left" in health.warnings[0].text
    kept.keep(pause=None)
    assert named(health) == []


@pytest.mark.parametrize(
    ("now", "left"), [(NOW, 60), (NOW + 59, 1), (NOW + 61, -1), (NOW - 1e9, 60)]
)
def test_what_is_left_of_a_pause_is_never_more_than_it_had(now, left):
    assert PAUSE.left_seconds(now) == left


def test_an_open_pause_has_no_end():
    assert KeptPause(since=NOW).left_seconds(NOW) is None

from __future__ import annotations

import json
import stat

import pytest

from byoi_agent.control.kept_sessions import AWAY_SECONDS, SessionKeeper
from byoi_agent.control.sessions import KeptSession

SESSION = KeptSession(digest="ab" * 32, csrf="c" * 43, age_seconds=9.0, unused_seconds=3.0)


class Wall:
    def __init__(self):
        self.at = 1_000_000.0

    def __call__(self):
        return self.at


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "browsers.json"


@pytest.fixture
def keeper(file, wall):
    return SessionKeeper(file, wall)


def test_what_is_left_is_taken_once_by_the_next_process(keeper, file, wall):
    keeper.keep(4711, (SESSION,))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    wall.at += 5
    kept, away = keeper.take()
    assert (kept.port, kept.sessions, away) == (4711, (SESSION,), 5.0)
    assert not file.exists()
    assert keeper.take() is None


@pytest.mark.parametrize("away", [AWAY_SECONDS + 1, -1.0])
def test_after_a_long_time_or_a_clock_set_back_nobody_is_let_in(keeper, file, wall, away):
    keeper.keep(4711, (SESSION,))
    wall.at += away
    assert keeper.take() is None
    assert not file.exists()


def test_without_browsers_nothing_is_left(keeper, file):
    keeper.keep(4711, ())
    assert not file.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0},
        {"port": "4711"},
        {"ended_at": "soon"},
        {
            "sessions": [
                {"digest": "short", "csrf": "c" * 43, "age_seconds": 1, "unused_seconds": 1}
            ]
        },
        {"more": 1},
    ],
)
def test_a_file_that_no_node_writes_lets_nobody_in(keeper, file, caplog, change):
    keeper.keep(4711, (SESSION,))
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **change}))
    assert keeper.take() is None
    assert not file.exists()
    assert "browsers need another link" in caplog.text
    assert "c" * 43 not in str([record.__dict__ for record in caplog.records])


def test_a_file_that_others_may_read_lets_nobody_in(keeper, file):
    keeper.keep(4711, (SESSION,))
    file.chmod(0o640)
    assert keeper.take() is None
    assert not file.exists()


def test_a_link_in_its_place_lets_nobody_in(keeper, file, tmp_path):
    keeper.keep(4711, (SESSION,))
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert keeper.take() is None
    assert not file.is_symlink()


def test_a_disk_that_takes_nothing_is_told_and_no_more(tmp_path, wall, caplog):
    keeper = SessionKeeper(tmp_path / "none" / "browsers.json", wall)
    keeper.keep(4711, (SESSION,))
    assert "browsers need another link" in caplog.text


def test_what_cannot_be_taken_away_lets_nobody_in(file, wall, caplog):
    file.mkdir()
    assert SessionKeeper(file, wall).take() is None
    assert "kept sessions not removed" in caplog.text

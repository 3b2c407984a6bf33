from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.cli import session as module
from byoi_agent.cli.session import name_of_session
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import runtime_root

OF_A_DESKTOP = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_SESSION_ID")


class _Sensor:
    def __init__(self, name, said, trouble=None):
        self.name = name
        self.said = said
        self.trouble = trouble

    async def read(self):
        return self.said

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch):
    for name in OF_A_DESKTOP:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sensors(monkeypatch):
    """What is seen of this machine."""
    people, around = [], []
    monkeypatch.setattr(module, "session_sensors", lambda _: people)
    monkeypatch.setattr(module, "machine_sensors", lambda _: around)
    return people, around


def test_once_shows_what_is_seen_and_what_is_not(byoi, sensors):
    people, around = sensors
    people.append(_Sensor("mutter", (SessionReading("jo", 75.0, False, "film", ("mutter",)),)))
    people.append(_Sensor("screensaver", None, "no such name"))
    around.append(_Sensor("upower", MachineReading(on_battery=True, is_metered=True)))
    code, out, _ = byoi("session", "--once")
    assert (code, out.splitlines()) == (
        0,
        [
            "jo: nothing touched for 1 min 15 s, film covers a screen",
            "Runs on battery.",
            "The network is metered.",
            "  mutter           answers",
            "  screensaver      no such name",
            "  upower           answers",
        ],
    )


def test_once_for_programs(byoi, sensors):
    people, _ = sensors
    people.append(_Sensor("x", (SessionReading("jo", 75.0, True, sources=("x",)),)))
    people.append(_Sensor("logind", (SessionReading("ann"),)))
    code, out, _ = byoi("session", "--once", "--json")
    told = json.loads(out)
    assert code == 0
    assert [(one["user"], one["idle_seconds"]) for one in told["sessions"]] == [
        ("jo", 75.0), ("ann", None),
    ]  # fmt: skip
    assert told["machine"] == {"on_battery": None, "is_metered": None, "programs": []}
    assert told["sources"][0] == {"name": "x", "answers": True, "trouble": None}


def test_once_where_nobody_is_and_where_nobody_can_tell(byoi, sensors):
    people, around = sensors
    around.append(_Sensor("upower", MachineReading(on_battery=False, is_metered=False)))
    _, out, _ = byoi("session", "--once")
    assert out.startswith("Nobody is at this machine's screens.\nHas mains.\nNo metered network.")
    people.append(_Sensor("logind", (SessionReading("ann", is_locked=True),)))
    _, out, _ = byoi("session", "--once")
    assert out.startswith("ann: nobody can tell since when nothing was touched, locked\n")


def test_outside_of_a_desktop_it_says_what_to_do(byoi, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    code, _, err = byoi("session")
    assert code == 78
    assert "no desktop session" in err
    assert "user unit" in err


def test_json_without_once_is_no_question(byoi):
    code, _, err = byoi("session", "--json")
    assert (code, "--once" in err) == (64, True)


def test_one_helper_for_a_session_is_enough(byoi, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":32123")
    folder = runtime_root(os.environ)
    folder.mkdir(mode=0o700)
    with StateLock(folder / "session-32123.lock"):
        code, _, err = byoi("session")
    assert code == 69
    assert "runs already" in err


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"XDG_SESSION_ID": "c2", "DISPLAY": ":0"}, "c2"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "wayland-0"),
        ({"DISPLAY": ":10.0"}, "10-0"),
        ({"DISPLAY": "/../../etc"}, "etc"),
        ({"DISPLAY": "::"}, "only"),
        ({}, "only"),
        ({"DISPLAY": "x" * 500}, "x" * 40),
    ],
)
def test_a_session_has_a_name_fit_for_a_file(environment, name):
    assert name_of_session(environment) == name


def test_it_waits_for_a_node_and_ends_well_at_sigterm(tmp_path):
    (tmp_path / "run2").mkdir(mode=0o700)
    process = subprocess.Popen(
        [sys.executable, "-m", "byoi_agent.cli.main", "session", "--data-dir", tmp_path / "none"],
        env={**os.environ, "DISPLAY": ":32123", "XDG_RUNTIME_DIR": str(tmp_path / "run2")},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert "not told of the session" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

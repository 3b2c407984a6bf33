from __future__ import annotations

import asyncio
import io
import os
import sys

import pytest

from byoi_agent.cli import approval
from byoi_agent.cli.approval import ForPeople, ForPrograms, browser_for, has_desktop, qr_picture
from byoi_agent.identity.device import DeviceCode

ADDRESS = "https://console.example/devices?code=BCDF-GHJK"
CODE = DeviceCode(
    device_code="secret",
    user_code="BCDF-GHJK",
    verification_uri="https://console.example/devices",
    verification_uri_complete=ADDRESS,
    expires_in=900,
)


class Terminal(io.TextIOWrapper):
    """A terminal of a chosen width that keeps what it was sent."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self):
        return True

    @property
    def shown(self):
        return self.buffer.getvalue().decode()


@pytest.fixture
def terminal(monkeypatch):
    def make(columns=100, encoding="utf-8", lines=50):
        made = Terminal(encoding)
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(
            "shutil.get_terminal_size", lambda *_: os.terminal_size((columns, lines))
        )
        return made

    return make


class Clock:
    """Stands until `tick` is called."""

    def __init__(self):
        self.now = 0.0
        self.waits = asyncio.Event()

    def monotonic(self):
        return self.now

    async def sleep_until(self, at):
        self.waits.set()
        await asyncio.Event().wait()


def people(clock=None, open_browser=lambda _: False):
    return ForPeople("https://console.example", clock or Clock(), open_browser=open_browser)


def test_a_terminal_that_is_wide_enough_shows_the_address_as_a_qr_code(terminal):
    terminal(columns=60)
    lines = qr_picture(ADDRESS).splitlines()
    assert len(lines) == 17
    assert all(line.startswith("  \x1b[40;97m") and line.endswith("\x1b[0m") for line in lines)


@pytest.mark.parametrize(
    ("columns", "encoding", "lines"), [(30, "utf-8", 50), (100, "ascii", 50), (100, "utf-8", 24)]
)
def test_where_it_would_not_come_out_right_there_is_no_qr_code(terminal, columns, encoding, lines):
    terminal(columns, encoding, lines)
    assert qr_picture(ADDRESS) is None


async def test_in_a_terminal_the_time_that_is_left_stands_in_one_line(terminal):
    shown = terminal(columns=60)
    clock = Clock()
    screen = people(clock)
    screen.code_given(CODE, "1f2a08052bb65365")
    clock.now = 1.0
    screen.trouble("the console at https://console.example cannot be reached: connection refused")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(screen.run())
        await clock.waits.wait()
        running.cancel()
    line = shown.shown.rpartition("\n")[2]
    assert line.startswith("\r\x1b[K14:59 left, but the console at")
    assert line.endswith("\r\x1b[K")
    assert len(line) < 60 + 2 * len("\r\x1b[K")
    assert "1f2a-0805-2bb6-5365" in shown.shown


def test_a_browser_that_was_opened_is_told(capsys):
    opened = []
    screen = people(open_browser=lambda address: opened.append(address) or True)
    screen.code_given(CODE, "1f2a08052bb65365")
    assert opened == [ADDRESS]
    assert "A browser has been opened" in capsys.readouterr().out


def test_trouble_is_told_once_when_it_begins_and_once_when_it_ends(capsys):
    screen = people()
    for reason in (None, "it is down", "it is down", None, None):
        screen.trouble(reason)
    told = capsys.readouterr().err.splitlines()
    assert told == ["byoi: it is down; it is tried again", "byoi: the console answers again"]


async def test_for_programs_trouble_is_a_line_of_its_own(capsys):
    screen = ForPrograms()
    screen.trouble("it is down")
    screen.trouble(None)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(screen.run())
        await asyncio.sleep(0)
        running.cancel()
    assert capsys.readouterr().out == '{"event": "trouble", "reason": "it is down"}\n'


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1 2 3 4"}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_CONNECTION": "1 2 3 4"}, "darwin", False),
    ],
)
def test_a_browser_needs_somebody_before_this_machine_s_screen(environment, platform, expected):
    assert has_desktop(environment, platform) is expected


def test_no_browser_means_none(terminal):
    terminal()
    desktop = {"DISPLAY": ":0"}
    assert browser_for(desktop, is_wanted=True) is approval.open_browser
    assert not browser_for(desktop, is_wanted=False)(ADDRESS)
    assert not browser_for({}, is_wanted=True)(ADDRESS)


@pytest.mark.parametrize(("script", "opened"), [("exit 0", True), ("exit 1", False)])
def test_whether_a_browser_opened_is_what_the_system_says(monkeypatch, tmp_path, script, opened):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/address\n{script}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    assert approval.open_browser(ADDRESS) is opened
    assert (tmp_path / "address").read_text() == ADDRESS

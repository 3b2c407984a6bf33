from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from byoi_agent.lifecycle import signals
from byoi_agent.lifecycle.signals import Stop, listen


def test_a_second_signal_is_urgent():
    stop = Stop()
    stop.ask()
    assert (stop.is_wanted.is_set(), stop.is_urgent.is_set()) == (True, False)
    stop.ask()
    assert stop.is_urgent.is_set()


def test_being_alone_is_urgent_at_once():
    stop = Stop()
    stop.at_once()
    assert stop.is_wanted.is_set()
    assert stop.is_urgent.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_being_told_to_stop_is_heard(number):
    stop = Stop()
    listen(stop, lambda: None)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(60):
        await stop.is_wanted.wait()
    assert not stop.is_urgent.is_set()


async def test_a_hangup_asks_for_a_reload():
    stop, asked = Stop(), asyncio.Event()
    listen(stop, asked.set)
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(60):
        await asked.wait()
    assert not stop.is_wanted.is_set()


def test_a_hangup_from_before_the_node_listened_is_not_lost():
    # In a process of its own: where there are other threads, one of them would take the signal.
    program = """
import asyncio, os, signal
from byoi_agent.cli import main
from byoi_agent.lifecycle.signals import Stop, listen

async def heard():
    asked = asyncio.Event()
    listen(Stop(), asked.set)
    async with asyncio.timeout(60):
        await asked.wait()

os.isatty = lambda _: False
main.hold_hang_ups()
os.kill(os.getpid(), signal.SIGHUP)
asyncio.run(heard())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=240, check=False).returncode == 0


async def test_a_terminal_that_is_closed_stops_the_node_that_ran_in_it(monkeypatch):
    terminal = [True, False]
    monkeypatch.setattr(signals, "_has_terminal", lambda: terminal.pop(0))
    stop = Stop()
    listen(stop, lambda: pytest.fail("reloaded"))
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(60):
        await stop.is_wanted.wait()

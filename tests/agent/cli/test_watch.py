from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from byoi_agent.cli import watch as module
from byoi_agent.cli.watch import WAITING, watch
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.schema import LinkStatus, StatusReport


def a_report(**changes):
    facts = {
        "node_id": "n1",
        "agent_version": "0.1.0",
        "pid": 42,
        "uptime_seconds": 3,
        "key_store": "file",
        "is_serving": True,
        "is_draining": False,
        "running": 0,
        "waiting": 0,
        "slots": 4,
        "queue": 1,
        "unacknowledged_records": 0,
        "link": LinkStatus(state="online", console_url="https://c"),
    }
    return StatusReport(**{**facts, **changes})


LIFE = (
    [a_report()],
    [a_report(uptime_seconds=4)],
    NodeUnreachable("n1 does not run"),
    NodeUnreachable("n1 does not run"),
    [a_report(pid=43)],
)


@pytest.fixture
def looking(monkeypatch):
    """A node's life, look by look; Ctrl-C comes at its end."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)

    def run(looks, *, as_json):
        left = list(looks)

        def ask():
            if not left:
                raise KeyboardInterrupt
            look = left.pop(0)
            if isinstance(look, Exception):
                raise look
            return look

        with pytest.raises(KeyboardInterrupt):
            watch(ask, as_json=as_json)

    return run


def test_programs_get_one_line_for_each_change(looking, capsys):
    looking(LIFE, as_json=True)
    first, away, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["pid"] == 42
    assert away == {"is_reachable": False, "reason": "n1 does not run"}
    assert again["pid"] == 43


def test_several_nodes_are_one_object(looking, capsys):
    looking([[a_report(), a_report(node_id="n2")]], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [node["node_id"] for node in told["nodes"]] == ["n1", "n2"]


def test_a_file_gets_what_has_changed(looking, capsys):
    looking(LIFE, as_json=False)
    out = capsys.readouterr().out
    assert out.count("n1  serving") == 2
    assert out.count(WAITING) == 1


IN_A_TERMINAL = """
from byoi_agent.cli import watch
from byoi_agent.control.client import NodeUnreachable
left = [NodeUnreachable(f"gone{still}\\nfor\\na\\nwhile") for still in ("", " still")]
def ask():
    if not left:
        raise SystemExit(0)
    raise left.pop(0)
watch.LOOK_SECONDS = 0
watch.watch(ask, as_json=False)
"""


def in_a_terminal(term):
    """What a terminal of four lines gets to show."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (4, 40))
    environment = {**os.environ, "TERM": term}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    program = [sys.executable, "-c", IN_A_TERMINAL]
    done = subprocess.run(program, stdout=inner, env=environment, check=False, timeout=240)
    os.close(inner)
    shown = b""
    with suppress(OSError):  # how Linux tells that nobody writes there any more
        while said := os.read(outer, 65536):
            shown += said
    os.close(outer)
    assert done.returncode == 0
    return shown.decode()


def test_a_terminal_is_drawn_again_in_its_place_however_small_it_is():
    shown = in_a_terminal("xterm")
    _, _, own_screen = shown.partition("\x1b[?1049h")
    drawn, _, left_behind = own_screen.partition("\x1b[?1049l")
    assert "gone still" in drawn
    assert all(frame.count("\n") < 4 for frame in drawn.split("\x1b[H"))
    assert left_behind.count(WAITING) == 1
    assert "gone still" in left_behind


def test_a_terminal_that_cannot_be_drawn_on_gets_what_has_changed():
    shown = in_a_terminal("dumb")
    assert shown.count(WAITING) == 2
    assert "\x1b" not in shown

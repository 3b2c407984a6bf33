from __future__ import annotations

import io
import sys

import pytest

from byoi_agent.demo import talk as module
from byoi_agent.demo.talk import PlainTalk, Silence, Speed, TerminalTalk, describe, talk_for
from byoi_agent.models.wheels import Progress

MB = 1_000_000


@pytest.mark.parametrize(
    ("progress", "speed", "line"),
    [
        (Progress("fetching x"), None, "fetching x"),
        (Progress("fetching x", 3 * MB), None, "fetching x: 3.0 MB"),
        (Progress("fetching x", 3 * MB, 9 * MB), None, "fetching x: 3.0 MB of 9.0 MB"),
        (
            Progress("fetching x", 3 * MB, 9 * MB),
            2.0 * MB,
            "fetching x: 3.0 MB of 9.0 MB, 2.0 MB/s, 3 s left",
        ),
    ],
)
def test_progress_is_told_with_bytes_speed_and_time_left(progress, speed, line):
    assert describe(progress, speed) == line


def test_speed_is_the_phases_own():
    speed = Speed()
    assert speed.measure(Progress("a", MB), 0.0) is None
    assert speed.measure(Progress("a", 5 * MB), 2.0) == 2 * MB
    assert speed.measure(Progress("b", 5 * MB), 3.0) is None
    assert speed.measure(Progress("b", 7 * MB), 5.0) == MB


def test_the_first_small_files_of_a_pull_are_no_speed():
    speed = Speed()
    assert speed.measure(Progress("a", 0), 0.0) is None
    assert speed.measure(Progress("a", 1000), 1.2) is None
    assert speed.measure(Progress("a", 4 * MB), 2.0) == 2 * MB


def test_a_log_gets_a_line_per_phase_and_every_two_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    talk = PlainTalk()
    for second in range(5):
        now[0] = float(second)
        talk.progress(Progress("fetching", second * MB, 4 * MB))
    talk.settle()
    talk.say("done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("fetching") == 3
    assert err.endswith("done\n")


def test_programs_are_told_nothing(capsys):
    talk = talk_for(quiet=True)
    assert isinstance(talk, Silence)
    talk.say("x")
    talk.progress(Progress("x"))
    talk.settle()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_bars_and_a_pipe_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert isinstance(talk_for(quiet=False), PlainTalk)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    talk = talk_for(quiet=False)
    assert isinstance(talk, TerminalTalk)
    talk.say("begin")
    talk.progress(Progress("fetching", MB, 4 * MB))
    talk.say("meanwhile")
    talk.settle()
    talk.settle()
    talk.say("end")
    shown = terminal.getvalue()
    for word in ("begin", "fetching", "meanwhile", "end"):
        assert word in shown

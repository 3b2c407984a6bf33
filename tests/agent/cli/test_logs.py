from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from byoi_agent.cli import logs as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.log_words import LogLine, LogLines
from byoi_agent.control.schema import LogStatus


def a_line(event, level="info"):
    line = {"time": "2026-01-01T10:00:00+00:00", "level": level, "logger": "x", "event": event}
    return json.dumps(line) + "\n"


@pytest.fixture
def file(tmp_path):
    """The log of the node that keeps its state in `tmp_path`, none of which runs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder / "byoi.log"


@pytest.fixture
def running(monkeypatch):
    """A node that says this of its log; None if it does not answer."""

    def say(log, found_by="data_dir"):
        def status(_):
            if log is None:
                raise NodeUnreachable("no node answers")
            return SimpleNamespace(log=log)

        node = Instance(ControlClient(socket_path="/x"))
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances((node,), found_by))
        monkeypatch.setattr(ControlClient, "status", status)

    return say


@pytest.fixture
def memory(monkeypatch):
    """What the node has in memory, and what comes."""

    def line(event):
        return LogLine(time="2026-01-01T10:00:00+00:00", level="info", logger="x", event=event)

    def keep(*events, coming=()):
        told = LogLines(lines=tuple(map(line, events)))
        monkeypatch.setattr(ControlClient, "logs", lambda *_: told)
        monkeypatch.setattr(ControlClient, "follow_logs", lambda *_: map(line, coming))

    return keep


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A journalctl that answers with its own arguments and one line."""
    program = tmp_path / "journalctl"
    line = a_line("from the journal").strip()
    program.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\nprint({line!r})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_newest_lines_are_shown_as_people_read_them(byoi, file, tmp_path):
    file.write_text("".join(a_line(f"event {number}") for number in range(60)))
    code, out, _ = byoi("logs", "--data-dir", tmp_path, "-n", 2)
    assert code == 0
    assert [line.split("info")[1].strip() for line in out.splitlines()] == ["event 58", "event 59"]


def test_programs_get_the_lines_as_they_are(byoi, file, tmp_path):
    file.write_text(a_line("one"))
    assert byoi("logs", "--data-dir", tmp_path, "--json")[1] == a_line("one")


def test_only_what_is_important_enough_is_shown_and_counted(byoi, file, tmp_path):
    file.write_text(a_line("bad", "error") + a_line("worse", "warning") + a_line("fine"))
    _, out, _ = byoi("logs", "--data-dir", tmp_path, "-n", 2, "--level", "warning")
    assert [line.split()[-1] for line in out.splitlines()] == ["bad", "worse"]


def test_where_nothing_was_logged_the_journal_is_named(byoi, tmp_path):
    code, _, err = byoi("logs", "--data-dir", tmp_path)
    assert code == 1
    assert "journalctl -u byoi" in err


def test_a_running_node_says_where_its_log_is(byoi, running, tmp_path):
    (tmp_path / "elsewhere").write_text(a_line("here"))
    running(LogStatus(file=str(tmp_path / "elsewhere")))
    assert "here" in byoi("logs")[1]


def test_a_node_that_does_not_answer_has_its_file(byoi, running, file, tmp_path):
    running(None)
    file.write_text(a_line("last words"))
    assert "last words" in byoi("logs", "--data-dir", tmp_path)[1]


def test_a_node_that_logs_to_standard_error_alone_says_how_to_change_that(byoi, running, memory):
    memory("kept in memory")
    running(LogStatus())
    code, out, err = byoi("logs")
    assert code == 0
    assert "kept in memory" in out
    assert "--log-file auto" in err


def test_a_file_that_this_user_may_not_read_is_told_by_the_node(
    byoi, running, memory, tmp_path, monkeypatch
):
    memory("one", "two", "three")
    (tmp_path / "shut").write_text(a_line("shut"))
    # Root, who may run the tests, reads what nobody else may.
    monkeypatch.setattr(module.os, "access", lambda path, _: path != tmp_path / "shut")
    running(LogStatus(file=str(tmp_path / "shut")))
    _, out, _ = byoi("logs", "-n", 2, "--grep", "t")
    assert [line.split()[-1] for line in out.splitlines()] == ["two", "three"]


def test_what_the_node_has_in_memory_is_followed(byoi, running, memory):
    memory("old", coming=("new",))
    running(LogStatus())
    _, out, _ = byoi("logs", "-f")
    assert [line.split()[-1] for line in out.splitlines()] == ["old", "new"]


@pytest.mark.usefixtures("journal")
def test_a_journal_that_shows_this_user_nothing_leaves_the_node(byoi, running, memory, tmp_path):
    (tmp_path / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    memory("from memory")
    running(LogStatus(unit="byoi.service"))
    assert "from memory" in byoi("logs")[1]


@pytest.mark.parametrize(
    ("is_users", "unit"), [(False, "--unit=byoi.service"), (True, "--user-unit=byoi.service")]
)
def test_the_journal_of_its_unit_is_read(byoi, running, journal, is_users, unit):
    running(LogStatus(unit="byoi.service", is_users=is_users))
    code, out, _ = byoi("logs", "-n", 7, "-f")
    assert code == 0
    assert f"['{unit}', '--output=cat', '--no-pager', '--lines=7', '--follow']" in out
    assert "info    from the journal" in out


@pytest.mark.usefixtures("journal")
def test_of_the_journal_s_lines_those_that_are_wanted_are_counted(byoi, running, tmp_path):
    lines = "\n".join(a_line(str(n), "error" if n < 2 else "info").strip() for n in range(9))
    (tmp_path / "lines").write_text("\n".join(reversed(lines.splitlines())) + "\n")
    (tmp_path / "journalctl").write_text(f"#!/bin/sh\n/bin/cat {tmp_path / 'lines'}\n")
    running(LogStatus(unit="byoi.service"))
    _, out, _ = byoi("logs", "-n", 2, "--level", "error")
    assert [line.split()[-1] for line in out.splitlines()] == ["0", "1"]


def test_without_journalctl_the_node_is_asked(byoi, running, memory, monkeypatch, tmp_path):
    memory("from memory")
    running(LogStatus(unit="byoi.service"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "from memory" in byoi("logs")[1]


def test_following_goes_on_with_what_is_written(byoi, file, tmp_path, monkeypatch):
    file.write_text(a_line("old"))
    coming = [a_line("new"), a_line("newer", "debug")]

    def pause(_seconds):
        if not coming:
            raise KeyboardInterrupt
        with file.open("a") as writer:
            writer.write(coming.pop(0))

    monkeypatch.setattr(module.time, "sleep", pause)
    code, out, _ = byoi("logs", "--data-dir", tmp_path, "--follow", "--level", "info")
    assert code == 130
    assert [line.split()[-1] for line in out.splitlines()] == ["old", "new"]


def test_lines_of_a_room_with_words_and_of_late_are_found(byoi, file, tmp_path):
    file.write_text(a_line("engine ready") + a_line("link online"))
    chosen = ("logs", "--data-dir", tmp_path, "--json")
    assert "link online" not in byoi(*chosen, "--grep", "ENGINE")[1]
    assert byoi(*chosen, "--room", "x")[1].count("\n") == 2
    assert byoi(*chosen, "--room", "engine")[1] == ""
    assert byoi(*chosen, "--since", "1h")[1] == ""
    assert byoi(*chosen, "--since", "soon")[0] == 64


def test_a_named_node_that_does_not_answer_is_told_and_no_other_log_is_shown(
    byoi, file, running, tmp_path
):
    file.write_text(a_line("another node's"))
    running(None, found_by="environment")
    code, out, err = byoi("logs", "--data-dir", tmp_path)
    assert (code, out) == (69, "")
    assert "no node answers" in err

from __future__ import annotations

import io
import json
import logging

import pytest

from byoi_agent.telemetry.logs import configure, human_line


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def logs():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def start(style="json", level="info", stream=None):
        stream = stream or io.StringIO()
        configure(style, level, stream)
        return stream

    yield start
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_carry_event_and_fields(logs):
    stream = logs()
    logging.getLogger("byoi.x").info("link lost", extra={"node": "n1", "seconds": 3})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["node"], line["seconds"], line["level"]) == (
        "link lost",
        "n1",
        3,
        "info",
    )


def test_a_terminal_gets_human_lines_and_a_pipe_json(logs):
    terminal = logs("auto", stream=_Terminal())
    logging.getLogger("byoi.x").warning("engine gone", extra={"reason": "out of memory", "code": 9})
    assert 'warning engine gone  reason="out of memory"  code=9' in terminal.getvalue()
    pipe = logs("auto")
    logging.getLogger("byoi.x").warning("engine gone")
    assert json.loads(pipe.getvalue())["event"] == "engine gone"


@pytest.mark.parametrize("level", ["debug", "info"])
def test_addresses_that_a_hub_signed_are_nobody_s_to_read(logs, level):
    stream = logs(level=level)
    for name in ("httpx2", "httpcore2.http11", "urllib3.connectionpool"):
        logging.getLogger(name).info("GET https://cdn.example/a?Signature=abcdef123456")
    assert "cdn.example" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "human"])
def test_no_secret_passes_in_message_field_or_traceback(logs, style):
    stream = logs(style)
    try:
        int("Bearer abcdef123456")
    except ValueError:
        logging.getLogger("byoi.x").exception(
            "call with sk-byoi-abcdef123456", extra={"token": "abcdef123456"}
        )
    assert "abcdef123456" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "human"])
def test_a_field_cannot_forge_a_line(logs, style):
    stream = logs(style)
    logging.getLogger("byoi.x").info("model", extra={"model": "a\nERROR forged\x1b[2J"})
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_the_level_is_the_owners_and_access_lines_stay_out(logs):
    stream = logs(level="warning")
    logging.getLogger("byoi.x").info("quiet")
    logging.getLogger("aiohttp.access").info("GET /")
    assert stream.getvalue() == ""


def test_the_file_gets_json_whatever_people_see(logs, tmp_path):
    stream = io.StringIO()
    configure("human", "info", stream, file=tmp_path / "byoi.log")
    logging.getLogger("byoi.x").info("link lost", extra={"node": "n1"})
    assert json.loads((tmp_path / "byoi.log").read_text())["node"] == "n1"
    assert "link lost  node=n1" in stream.getvalue()
    logs()  # closes it


def test_a_line_of_the_file_is_shown_as_people_read_it(logs):
    stream = logs()
    try:
        int("x")
    except ValueError:
        logging.getLogger("byoi.x").exception("call failed", extra={"reason": "a b", "none": None})
    first, *rest = human_line(stream.getvalue()).splitlines()
    assert first.endswith('error   call failed  reason="a b"')
    assert rest[0].startswith("Traceback")


@pytest.mark.parametrize("line", ["torn {", "[]", "{}", '"x"', "7"])
def test_what_is_no_line_of_ours_is_shown_as_it_is(line):
    assert human_line(line) == line


def test_no_line_of_the_file_moves_the_terminals_cursor():
    assert "\x1b" not in human_line("\x1b[2J")
    line = {"time": "2026-01-01T00:00:00+00:00", "level": "info", "event": "\x1b[2J"}
    assert "\x1b" not in human_line(json.dumps({**line, "traceback": "a\x1b\nb"}))


def test_a_line_for_programs_does_not_steer_the_terminal_that_it_is_shown_in(logs):
    stream = logs("json")
    said = "a\x1b\x9b2J\u202e\U000e0001b"
    logging.getLogger("x").warning("link lost", extra={"reason": said})
    line = stream.getvalue().rstrip("\n")
    assert line.isprintable()
    assert json.loads(line)["reason"] == said

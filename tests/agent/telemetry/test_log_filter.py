from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from byoi_agent.telemetry.log_filter import LogFilter

NOW = 1_800_000_000.0


def a_line(event="request ended", level="info", room="serving.relay", age=60.0):
    time = datetime.fromtimestamp(NOW - age, UTC).isoformat(timespec="milliseconds")
    fields = {"time": time, "level": level, "logger": f"byoi_agent.{room}", "event": event}
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("wanted", "line", "passes"),
    [
        (LogFilter(), a_line(), True),
        (LogFilter(), "Traceback of somebody else", True),
        (LogFilter(least=logging.WARNING), a_line(), False),
        (LogFilter(least=logging.WARNING), a_line(level="error"), True),
        (LogFilter(words="ENDED"), a_line(), True),
        (LogFilter(words="began"), a_line(), False),
        (LogFilter(room="serving"), a_line(), True),
        (LogFilter(room="serving.relay"), a_line(), True),
        (LogFilter(room="serv"), a_line(), False),
        (LogFilter(room="serving"), "Traceback of somebody else", False),
        (LogFilter(room="serving"), "[1]", False),
        (LogFilter(since=NOW - 100), a_line(), True),
        (LogFilter(since=NOW - 30), a_line(), False),
        (LogFilter(since=NOW - 30), json.dumps({"time": "?", "level": "info"}), False),
        (LogFilter(since=NOW - 100, room="link"), a_line(), False),
    ],
)
def test_a_line_must_pass_all_that_is_asked_for(wanted, line, passes):
    assert wanted.passes(line) is passes

from __future__ import annotations

import logging
import re

from byoi_agent.control.dashboard.log import told

logger = logging.getLogger("byoi_agent.test")


async def test_the_last_lines_are_shown_and_what_is_in_them_is_text(whole):
    hostile = "</div><img src=x onerror=alert(1)>"
    logger.warning("engine says", extra={"why": hostile})
    status, text = await whole.get("/log")
    assert status == 200
    assert "engine says" in text
    assert "<img src=x" not in text
    assert "is-warning" in text
    assert "engine says" not in (await whole.get("/log?level=error"))[1]


async def test_a_level_that_is_none_shows_what_happens(whole):
    status, text = await whole.get("/log?level=%22><script>")
    assert status == 200
    assert 'value="info" selected' in text
    assert "level=info" in text


def test_a_line_s_fields_stand_beside_its_event():
    line = told({"time": "t", "level": "INFO", "logger": "l", "event": "e", "node": "n1", "x": 2})
    assert (line["level"], line["beside"]) == ("info", "node=n1 x=2")


def test_a_moment_is_told_by_the_machine_s_clock_and_what_is_none_stays():
    assert re.fullmatch(r"\d\d-\d\d \d\d:\d\d:07", told({"time": "2026-11-22T00:10:07Z"})["when"])
    assert told({"time": "then"})["when"] == "then"

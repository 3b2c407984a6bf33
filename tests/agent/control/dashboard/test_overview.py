from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.control.dashboard.overview import parts
from byoi_agent.control.dashboard.words import until_tomorrow
from byoi_agent.control.schema import OwnApiStatus, WarningStatus

NOW = 1_795_000_000.0
BY_SCRIPT = {"HX-Request": "true"}


async def test_the_switch_turns_off_and_on_again(browser, node):
    status, _, place = await browser.post("/switch", {"turn": "off"})
    assert (status, place) == (303, "/")
    assert node.switch.orders == [("pause", None, False, "dashboard")]
    _, text = await browser.get("/")
    assert 'aria-checked="false"' in text
    assert "Paused" in text
    await browser.post("/switch", {"turn": "on"})
    assert node.switch.orders[-1] == ("resume", "dashboard")


@pytest.mark.parametrize(
    ("chosen", "seconds"), [("3600", 3600.0), ("tomorrow", until_tomorrow(NOW)), ("", None)]
)
async def test_a_pause_has_an_end_of_the_owner_s_choice(browser, node, chosen, seconds):
    await browser.post("/switch", {"turn": "off", "for": chosen, "finish": "yes"})
    assert node.switch.orders == [("pause", seconds, True, "dashboard")]


async def test_a_mode_is_chosen(browser, node):
    await browser.post("/mode", {"mode": "idle"})
    assert node.switch.orders == [("mode", "idle", "dashboard")]


async def test_what_the_node_refuses_is_told_on_the_page(browser, node):
    status, text, _ = await browser.post("/mode", {"mode": "always"})
    assert status == 400
    assert 'role="alert"' in text
    assert "mode is &#34;dedicated&#34;" in text
    assert node.switch.orders == []


async def test_a_script_gets_the_switch_alone_and_what_there_is_to_tell(browser):
    status, text, _ = await browser.post("/switch", {"turn": "off"}, **BY_SCRIPT)
    assert status == 200
    assert text.startswith('<section class="card master')
    assert 'id="told" hx-swap-oob="true"' in text
    assert "<html" not in text
    status, text, _ = await browser.post("/mode", {"mode": "always"}, **BY_SCRIPT)
    assert (status, 'role="alert"' in text) == (200, True)


async def test_an_open_page_is_told_what_changes_and_nothing_else(browser, node):
    place = f"{browser.url}/live/"
    headers = {**browser.headers, "Accept": "text/event-stream"}
    async with asyncio.timeout(60), browser.http.get(place, headers=headers) as response:
        assert response.content_type == "text/event-stream"
        first = await event(response)
        assert set(first) == {"here", "switch", "warnings", "figures", "devices", "engines", "link"}
        node.facts["running"] = 3
        node.changed()
        second = await event(response)
        assert set(second) == {"figures"}
        assert ">3" in second["figures"]
        node.switch.pause(None, finish=False, actor="token")
        assert set(await event(response)) == {"here", "switch"}


async def event(response):
    while not (line := await response.content.readline()).startswith(b"data:"):
        assert line, "the stream ended"
    return json.loads(line.partition(b":")[2])["parts"]


def test_what_others_say_is_text_and_never_markup(frame):
    hostile = "</script><img src=x onerror=alert(1)>"
    made = frame(warnings=(WarningStatus(name="w", text=hostile, mend=hostile),))
    assert "<img" not in "".join(parts(made).values())
    assert "&lt;img" in parts(made)["warnings"]


def test_the_owner_reads_where_the_programs_of_this_machine_ask(frame):
    url = "http://127.0.0.1:2964/v1"
    told = parts(frame(own=OwnApiStatus(url=url, needs_key=True, requests=1)))["engines"]
    assert url in told
    assert "with your key" in told
    assert "1 request since" in told
    assert "your own programs" not in parts(frame(own=OwnApiStatus()))["engines"]

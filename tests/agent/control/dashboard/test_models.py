from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.control.feed import Event
from byoi_agent.control.model_words import ModelStatus, pull_of
from byoi_agent.errors import ConfigError

BY_SCRIPT = {"HX-Request": "true"}


@pytest.mark.parametrize("act", ["load", "unload", "serve", "unserve"])
async def test_each_button_does_what_it_says(whole, shelf, act):
    status, _, place = await whole.post("/models/act", {"name": "a/b", "act": act})
    assert (status, place) == (303, "/models")
    assert shelf.done == [(act, "a/b")]


async def test_a_pull_begins_shows_how_far_it_is_and_is_cancelled(whole, shelf):
    status, text, _ = await whole.post("/models/pull", {"model": " a/b "}, **BY_SCRIPT)
    assert (status, shelf.done) == (200, [("pull", "a/b")])
    assert 'value="25.0"' in text
    assert "1.0 MiB of 4.0 MiB" in text
    await whole.post("/models/cancel", {"id": "p1"})
    assert shelf.done[-1] == ("cancel", "p1")
    assert "What came is kept" in (await whole.get("/models"))[1]


async def test_removing_is_asked_first(whole, shelf):
    _, text = await whole.get("/models")
    assert "/models/remove?name=a/b" in text
    assert "/models/remove?name=c/d" not in text, "a model that is served stays"
    _, text = await whole.get("/models/remove?name=a/b")
    assert "1.0 GiB back" in text
    assert shelf.done == []
    _, _, place = await whole.post("/models/remove", {"name": "a/b"})
    assert (shelf.done, place) == ([("remove", "a/b")], "/models?done=removed")
    assert "It is gone from the disk." in (await whole.get(place))[1]


async def test_of_several_models_each_has_its_priority_and_it_is_set(whole, shelf):
    _, text = await whole.get("/models")
    assert "Priority" not in text, "the only model has no other beside it"
    shelf.models = [
        ModelStatus(name=name, id=name, kind="gguf", source="hub", is_served=True, priority=rank)
        for name, rank in (("a/b", 0), ("c/d", 80))
    ]
    _, text = await whole.get("/models")
    assert 'aria-label="Priority of a/b, from 0 to 100"' in text
    assert 'required value="0"' in text
    assert 'required value="80"' in text
    assert "higher priority stays loaded" in text
    form = {"name": "a/b", "priority": "90"}
    status, _, place = await whole.post("/models/priority", form)
    assert (status, place, shelf.done, shelf.ranks) == (303, "/models", [("serve", "a/b")], [90])
    status, text, _ = await whole.post("/models/priority", form, **BY_SCRIPT)
    assert status == 200
    assert "from now on, and after a restart" in text


@pytest.mark.parametrize("told", ["", "many", "101", "-1", "5.5", "١٢", "9" * 5000])
async def test_what_is_no_priority_is_told_and_changes_nothing(whole, shelf, told):
    form = {"name": "c/d", "priority": told}
    status, text, _ = await whole.post("/models/priority", form)
    assert (status, shelf.done) == (400, [])
    assert "priority (0 to 100)" in text


async def test_what_the_node_refuses_is_told(whole, shelf):
    shelf.failure = ConfigError("no engine here has the model")
    for path, form in (
        ("/models/act", {"name": "a/b", "act": "load"}),
        ("/models/pull", {"model": "a/b"}),
        ("/models/remove", {"name": "a/b"}),
    ):
        status, text, _ = await whole.post(path, form)
        assert (status, "no engine here has the model" in text) == (400, True), path
    assert (await whole.post("/models/act", {"name": "a/b", "act": "eat"}))[0] == 400
    assert "not here" in (await whole.get("/models/remove?name=nobody"))[1]


async def test_an_open_page_shows_how_a_pull_goes_on(whole, shelf, services):
    headers = {**whole.headers, "Accept": "text/event-stream"}
    place = f"{whole.url}/live/models"
    async with asyncio.timeout(60), whole.http.get(place, headers=headers) as response:
        assert set(await parts_of(response)) == {"here", "pulls", "models"}
        await whole.post("/models/pull", {"model": "x/y"})
        services.events.put(Event("pull", pull_of(shelf.views[0]), key="p1"))
        news = await parts_of(response)
        assert "x/y" in news["pulls"]
        assert "models" not in news


async def parts_of(response):
    while not (line := await response.content.readline()).startswith(b"data:"):
        assert line, "the stream ended"
    return json.loads(line.partition(b":")[2])["parts"]


async def test_a_model_s_name_is_text_and_never_markup(whole, shelf):
    hostile = "o/<img src=x onerror=alert(1)>\"'&"
    shelf.models = [ModelStatus(name=hostile, id="b", kind="gguf", source="hub")]
    _, text = await whole.get("/models")
    assert "<img src=x" not in text
    assert "onerror=alert(1)&gt;&#34;&#39;&amp;" in text

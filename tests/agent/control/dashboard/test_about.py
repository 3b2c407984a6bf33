from __future__ import annotations

from dataclasses import replace

from byoi_agent.update.asked import UpdateRefused, Ways
from byoi_wire.version import PROTOCOL_VERSION

BY_SCRIPT = {"HX-Request": "true"}


async def test_it_tells_what_runs_here_and_where_newer_versions_come_from(whole):
    status, text = await whole.get("/about")
    assert status == 200
    assert "byoi 0.1.0" in text
    assert PROTOCOL_VERSION in text
    assert "no console can make this node take one" in text
    assert "nobody has looked yet" in text
    assert 'value="install"' not in text  # nothing is known to install
    assert 'action="/sign-out"' in text


async def test_the_owner_looks_for_a_newer_version_and_has_it_installed(whole):
    sent = {"X-CSRF-Token": await whole.word(), **BY_SCRIPT}
    status, text, _ = await whole.post("/about", {"wish": "look"}, **sent)
    assert status == 200
    assert "Install 0.2.0" in text
    status, text, _ = await whole.post("/about", {"wish": "install"}, **sent)
    assert "0.2.0 is being installed" in text
    assert "the node starts anew" in text
    assert 'value="install"' not in text


async def test_without_scripts_the_page_comes_again(whole):
    assert await whole.post("/about", {"wish": "look"}) == (303, "", "/about")
    assert "Install 0.2.0" in (await whole.get("/about"))[1]


async def test_a_refusal_is_told_with_what_to_type(whole, newer):
    newer.failure = UpdateRefused("type: sudo byoi update")
    sent = {"X-CSRF-Token": await whole.word(), **BY_SCRIPT}
    _, text, _ = await whole.post("/about", {"wish": "install"}, **sent)
    assert "type: sudo byoi update" in text
    assert "starts anew" not in text
    status, text, _ = await whole.post("/about", {"wish": "install"})
    assert status == 400
    assert "type: sudo byoi update" in text


async def test_what_is_no_wish_is_refused(whole):
    status, text, _ = await whole.post("/about", {"wish": "<b>"})
    assert status == 400
    assert "cannot be asked" in text
    assert "<b>" not in text


async def test_where_only_root_may_the_page_says_what_to_type(whole, newer):
    newer.now = Ways(instead="this byoi was installed for the whole system; run: sudo byoi update")
    _, text = await whole.get("/about")
    assert "This byoi was installed for the whole system; run: sudo byoi update." in text
    assert 'name="wish"' not in text


async def test_a_node_that_cannot_be_asked_for_updates_has_no_part_for_them(
    everything, letting_in, starting
):
    async with starting(replace(everything, update=None)) as server, letting_in(server) as browser:
        assert "Updates" not in (await browser.get("/about"))[1]
        assert (await browser.post("/about", {"wish": "look"}))[0] == 400

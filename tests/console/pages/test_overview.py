from __future__ import annotations

from byoi_console.accounts.keys import KeyRequest
from byoi_console.nodes.enrolment import JoinRequest


async def test_an_empty_console_says_what_to_do_next(browser, rooms):
    page = (await browser.get("/")).text
    assert f"byoi enroll --console {rooms.url}" in page
    assert f"curl {rooms.url}/v1/chat/completions" in page
    assert "is-done" not in page


async def test_what_is_done_is_ticked(browser, rooms, person, enrolment, machine):
    await rooms.keys.create(person.org_id, KeyRequest(name="a"), "x")
    assert (await browser.get("/")).text.count("is-done") == 1
    token = await rooms.join_tokens.create(person.org_id, "x")
    await enrolment.join(JoinRequest.model_validate(machine(token.token)), peer="10.0.0.1")
    page = (await browser.get("/")).text
    assert page.count("is-done") == 2
    assert "of 1" in page

from __future__ import annotations

import re

import pytest


async def test_a_token_is_shown_once_with_the_command_that_uses_it(
    browser, rooms, enrolment, machine, person
):
    answer = await browser.post("/join-tokens", {"uses": "2", "expires": "day"})
    assert answer.status == 201
    token = re.search(r"byoi-join-[A-Za-z0-9_-]+", answer.text)[0]
    assert f"BYOI_JOIN_TOKEN={token} byoi enroll --console {rooms.url}" in answer.text
    [facts] = await rooms.join_tokens.list(person.org_id)
    assert facts.uses == 2
    assert facts.expires_at_ms == facts.created_at_ms + 24 * 3600 * 1000
    page = (await browser.get("/join-tokens")).text
    assert facts.id in page
    assert token not in page


@pytest.mark.parametrize(
    "fields", [{"uses": "0"}, {"uses": "100001"}, {"uses": "x"}, {"uses": "1", "expires": "never"}]
)
async def test_a_wrong_field_makes_no_token(browser, rooms, person, fields):
    assert (await browser.post("/join-tokens", fields)).status == 400
    assert not await rooms.join_tokens.list(person.org_id)


async def test_revoking_asks_first_and_is_done_once(browser, rooms, person):
    new = await rooms.join_tokens.create(person.org_id, "test")
    page = f"/join-tokens/{new.id}/revoke"
    assert "No further machine" in (await browser.get(page)).text
    assert (await browser.post(page)).location == "/join-tokens?done=revoked"
    assert (await browser.get(page)).status == 404
    assert (await browser.post(page)).status == 404
    assert "revoked" in (await browser.get("/join-tokens")).text


async def test_another_organisation_s_token_is_not_there(browser, rooms, other_org):
    new = await rooms.join_tokens.create(other_org, "x")
    assert (await browser.post(f"/join-tokens/{new.id}/revoke")).status == 404
    assert new.id not in (await browser.get("/join-tokens")).text


async def test_each_token_says_what_became_of_it(browser, rooms, person, clock):
    await rooms.join_tokens.create(person.org_id, "test", expires_in_seconds=60)
    assert ">good<" in (await browser.get("/join-tokens")).text
    clock.seconds += 61
    assert ">expired<" in (await browser.get("/join-tokens")).text

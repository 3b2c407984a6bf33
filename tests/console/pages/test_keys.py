from __future__ import annotations

import re

import pytest

from byoi_console.accounts.keys import KeyRequest
from byoi_console.errors import Unauthenticated


def text_of_key(answer):
    return re.search(r"sk-byoi-[A-Za-z0-9_-]{30,}", answer.text)[0]


async def test_a_key_is_shown_once_and_works(browser, rooms, person, database):
    answer = await browser.post("/keys/new", {"name": " website  chat "})
    assert answer.status == 201
    key = text_of_key(answer)
    principal = await rooms.keys.authenticate(f"Bearer {key}")
    assert (principal.org_id, principal.scope, principal.models) == (
        person.org_id,
        "inference",
        None,
    )
    assert f"curl {rooms.url}/v1/chat/completions" in answer.text
    page = (await browser.get("/keys")).text
    assert "website chat" in page
    assert key not in page


async def test_what_is_chosen_is_what_the_key_may(browser, rooms, person):
    chosen = {
        "name": "a",
        "scope": "admin",
        "which": "some",
        "models": ["m1", "m2"],
        "more_models": "m2\n  m3  \n\n",
        "per_minute": "1,000",
        "at_once": "4",
        "expires": "7",
    }
    answer = await browser.post("/keys/new", chosen)
    principal = await rooms.keys.authenticate(f"Bearer {text_of_key(answer)}")
    assert principal.is_admin
    assert principal.models == {"m1", "m2", "m3"}
    assert (principal.requests_per_minute, principal.max_concurrent) == (1000, 4)
    [key] = await rooms.keys.list(person.org_id)
    assert key.expires_at_ms == key.created_at_ms + 7 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "Give it a name"),
        ({"name": "a" * 201}, "at most 200"),
        ({"name": "a", "which": "some"}, "Name at least one model"),
        ({"name": "a", "which": "some", "more_models": "m" * 257}, "too many models"),
        ({"name": "a", "per_minute": "0"}, "from 1 to 1,000,000"),
        ({"name": "a", "per_minute": "-1"}, "from 1 to 1,000,000"),
        ({"name": "a", "at_once": "many"}, "from 1 to 100,000"),
        ({"name": "a", "at_once": "\u0663"}, "from 1 to 100,000"),
        ({"name": "a", "scope": "root"}, "choose one of those"),
        ({"name": "a", "expires": "8"}, "choose one of those"),
    ],
)
async def test_a_wrong_field_is_told_and_what_was_typed_is_kept(
    browser, rooms, person, fields, words
):
    answer = await browser.post("/keys/new", fields)
    assert answer.status == 400
    assert words in answer.text
    assert f'value="{fields["name"]}"' in answer.text
    assert not await rooms.keys.list(person.org_id)


async def test_revoking_asks_first_and_then_ends_the_key(browser, rooms, person):
    new = await rooms.keys.create(person.org_id, KeyRequest(name="old"), "test")
    page = f"/keys/{new.facts.id}/revoke"
    assert "Revoke “old”?" in (await browser.get(page)).text
    answer = await browser.post(page)
    assert answer.location == "/keys?done=revoked"
    assert "refused" in (await browser.get(answer.location)).text
    with pytest.raises(Unauthenticated):
        await rooms.keys.authenticate(f"Bearer {new.key}")
    assert (await browser.post(page)).status == 404
    assert (await browser.get(page)).status == 404


async def test_another_organisation_s_key_cannot_be_seen_or_ended(browser, rooms, other_org):
    new = await rooms.keys.create(other_org, KeyRequest(name="theirs"), "x")
    page = f"/keys/{new.facts.id}/revoke"
    assert "theirs" not in (await browser.get("/keys")).text
    assert (await browser.get(page)).status == 404
    assert (await browser.post(page)).status == 404
    assert await rooms.keys.authenticate(f"Bearer {new.key}")


async def test_a_key_that_has_expired_is_shown_so(browser, rooms, person, clock):
    await rooms.keys.create(person.org_id, KeyRequest(name="a", expires_in_seconds=60), "test")
    clock.seconds += 61
    assert "expired" in (await browser.get("/keys")).text

"""A page's script calls `/api` with the browser's cookie; another site's page cannot."""

from __future__ import annotations

import pytest

from byoi_console.accounts.sign_ins import COOKIE


@pytest.fixture
async def cookie(rooms, database):
    """A signed-in browser: its cookie and the token that its pages know."""
    async with database.write() as connection:
        person = await rooms.services.people.add(connection, "a@b.org", "-", "O", actor="test")
    new = await rooms.services.sign_ins.begin(person.person_id, person.org_id)
    csrf = (await rooms.services.sign_ins.look(new.token)).csrf_token
    return {"cookie": f"{COOKIE}={new.token}"}, csrf, new


async def test_a_browser_may_read(api, cookie):
    headers, _, _ = cookie
    assert (await api("GET", "/api/keys", authorization=None, headers=headers)).status == 200


async def test_another_site_s_page_can_have_nothing_read_in_the_person_s_name(api, cookie):
    headers, _, _ = cookie
    for foreign in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        for path in ("/api/keys", "/api/devices/BBBB-BBBB"):
            answer = await api("GET", path, authorization=None, headers=headers | foreign)
            assert answer.status == 403
    typed = headers | {"sec-fetch-site": "none"}
    assert (await api("GET", "/api/keys", authorization=None, headers=typed)).status == 200


async def test_a_browser_changes_things_only_with_its_page_s_token(api, cookie):
    headers, csrf, _ = cookie
    for token in ({}, {"x-csrf-token": ""}, {"x-csrf-token": csrf[:-1]}):
        answer = await api("POST", "/api/keys", {"name": "a"}, None, headers=headers | token)
        assert (answer.status, answer.code) == (403, "forbidden")
    good = {**headers, "x-csrf-token": csrf}
    for foreign in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = await api("POST", "/api/keys", {"name": "a"}, None, headers=good | foreign)
        assert answer.status == 403
    assert (await api("POST", "/api/keys", {"name": "a"}, None, headers=good)).status == 201


async def test_a_sign_in_that_has_ended_is_worth_nothing(api, rooms, cookie, database):
    headers, _, new = cookie
    person_id = (await rooms.services.sign_ins.look(new.token)).person_id
    await rooms.services.sign_ins.end(person_id, new.id)
    answer = await api("GET", "/api/keys", authorization=None, headers=headers)
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_a_key_counts_before_a_cookie(api, cookie):
    headers, _, _ = cookie
    answer = await api("GET", "/api/keys", authorization="Bearer sk-byoi-wrong", headers=headers)
    assert answer.status == 401
    assert (await api("POST", "/api/keys", {"name": "a"}, headers=headers)).status == 201

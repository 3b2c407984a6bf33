from __future__ import annotations

import pytest

from byoi_console.errors import Unauthenticated


async def test_a_key_is_shown_once_and_listed_without_its_text(api):
    made = await api("POST", "/api/keys", {"name": "laptop", "scope": "inference"})
    assert made.status == 201
    assert made.json["key"].startswith("sk-byoi-")
    listed = (await api("GET", "/api/keys")).json["data"]
    assert [key["name"] for key in listed] == ["admin", "laptop"]
    assert made.json["key"] not in str(listed)
    assert listed[1]["prefix"] == made.json["key"][:12]


async def test_all_limits_of_a_key_can_be_set(api, rooms):
    limits = {
        "models": ["m"],
        "requests_per_minute": 3,
        "max_concurrent": 2,
        "expires_in_seconds": 60,
    }
    made = (await api("POST", "/api/keys", {"name": "x", **limits})).json
    assert made["scope"] == "inference"
    assert (made["models"], made["requests_per_minute"], made["max_concurrent"]) == (["m"], 3, 2)
    assert made["expires_at"] == "2027-01-15T08:01:00.000Z"
    principal = await rooms.services.keys.authenticate(f"Bearer {made['key']}")
    assert principal.models == {"m"}


async def test_a_revoked_key_is_gone_at_once(api, rooms):
    made = (await api("POST", "/api/keys", {"name": "x"})).json
    await rooms.services.keys.authenticate(f"Bearer {made['key']}")
    assert (await api("DELETE", f"/api/keys/{made['id']}")).status == 200
    with pytest.raises(Unauthenticated):
        await rooms.services.keys.authenticate(f"Bearer {made['key']}")
    assert (await api("DELETE", f"/api/keys/{made['id']}")).code == "not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "scope": "root"}, "scope"),
        ({"name": "x", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "x", "expires_in_seconds": -1}, "expires_in_seconds"),
        ({"name": "x", "org_id": "org_2"}, "org_id"),
        ([], None),
    ],
)
async def test_a_wrong_field_is_named(api, body, param):
    answer = await api("POST", "/api/keys", body)
    assert answer.status == 400
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 60_000, b" " * 70_000], ids=range(4))
async def test_a_body_that_is_no_json_is_refused(api, raw):
    assert (await api("POST", "/api/keys", raw=raw)).status == 400


async def test_an_inference_key_may_not_look_after_keys(api):
    made = (await api("POST", "/api/keys", {"name": "x"})).json
    for method, path in (("GET", "/api/keys"), ("POST", "/api/keys"), ("DELETE", "/api/keys/a")):
        answer = await api(method, path, {"name": "y"}, authorization=f"Bearer {made['key']}")
        assert (answer.status, answer.code) == (403, "forbidden")


async def test_an_admin_s_email_and_password_do_as_well(api, rooms, basic):
    admin = await rooms.services.people.create_admin("a@example.org")
    header = basic(admin.email, admin.password)
    made = await api("POST", "/api/keys", {"name": "first"}, authorization=header)
    assert made.status == 201
    wrong = await api("GET", "/api/keys", authorization=basic(admin.email, "x"))
    assert (wrong.status, wrong.code) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer sk-byoi-' OR ''='", "Bearer \x00", "Basic \xff", "Digest x"]
)
async def test_without_a_valid_credential_there_is_only_401(api, authorization):
    answer = await api("GET", "/api/keys", authorization=authorization)
    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"

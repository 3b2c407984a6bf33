from __future__ import annotations

import asyncio
import base64


async def test_a_machine_joins_by_a_token(api, machine, console_keys):
    made = await api("POST", "/api/join-tokens")
    assert made.status == 201
    assert made.json["expires_at"] == "2027-01-15T09:00:00.000Z"
    answer = await api("POST", "/agent/v1/token", machine(made.json["token"]), authorization=None)
    assert answer.status == 200
    assert set(answer.json) == {
        "node_id",
        "key_id",
        "console_key",
        "console_key_id",
        "origin",
        "name",
        "organisation",
        "visibility",
        "mode",
    }
    assert len(base64.b64decode(answer.json["console_key"])) == 32
    (node,) = (await api("GET", "/api/nodes")).json["data"]
    assert node["id"] == answer.json["node_id"]


async def test_of_fifty_identical_requests_at_once_one_is_answered(api, machine):
    token = (await api("POST", "/api/join-tokens", {})).json["token"]
    body = machine(token)
    statuses = []

    async def redeem(number):
        api.peer = f"10.0.1.{number}"
        statuses.append((await api("POST", "/agent/v1/token", body)).status)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(redeem(number))
    assert sorted(statuses) == [200] + [401] * 49


async def test_a_token_may_admit_several_machines(api, machine):
    token = (await api("POST", "/api/join-tokens", {"uses": 2})).json["token"]
    statuses = [(await api("POST", "/agent/v1/token", machine(token))).status for _ in range(3)]
    assert statuses == [200, 200, 401]


async def test_a_token_that_is_not_good_is_told_apart_from_a_wrong_proof(api, machine):
    token = (await api("POST", "/api/join-tokens", {})).json["token"]
    unknown = await api("POST", "/agent/v1/token", machine("byoi-join-x"))
    assert (unknown.status, unknown.code) == (401, "join_token_invalid")
    wrong = await api("POST", "/agent/v1/token", machine(token, proof="AAAA"))
    assert (wrong.status, wrong.code) == (401, "proof_invalid")
    assert (await api("POST", "/agent/v1/token", {})).status == 400


async def test_guessing_is_answered_429_with_when_to_come_back(api, machine):
    for _ in range(20):
        await api("POST", "/agent/v1/token", machine("byoi-join-x"))
    answer = await api("POST", "/agent/v1/token", machine("byoi-join-x"))
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_only_an_admin_makes_tokens(api):
    key = (await api("POST", "/api/keys", {"name": "x"})).json["key"]
    answer = await api("POST", "/api/join-tokens", {}, authorization=f"Bearer {key}")
    assert answer.status == 403
    assert (await api("POST", "/api/join-tokens", {"uses": 0})).status == 400

from __future__ import annotations

import asyncio
import base64

from byoi_console.accounts.keys import KeyRequest
from byoi_console.nodes import proofs
from byoi_console.store.tables import organisations


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


async def test_fifty_identical_requests_at_once_are_one_node_and_get_one_answer(api, machine):
    token = (await api("POST", "/api/join-tokens", {})).json["token"]
    body = machine(token)
    answers = []

    async def redeem(number):
        api.peer = f"10.0.1.{number}"
        answers.append(await api("POST", "/agent/v1/token", body))

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(redeem(number))
    assert [answer.status for answer in answers] == [200] * 50
    assert all(answer.json == answers[0].json for answer in answers)
    assert len((await api("GET", "/api/nodes")).json["data"]) == 1


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


async def test_tokens_are_listed_without_their_text_and_revoked(api, machine):
    made = (await api("POST", "/api/join-tokens", {"uses": 3})).json
    await api("POST", "/agent/v1/token", machine(made["token"]))
    listed = await api("GET", "/api/join-tokens")
    (token,) = listed.json["data"]
    assert (token["id"], token["uses"], token["uses_left"]) == (made["id"], 3, 2)
    assert (token["expires_at"], token["revoked_at"]) == (made["expires_at"], None)
    assert made["token"] not in listed.body.decode()
    revoked = await api("DELETE", f"/api/join-tokens/{made['id']}")
    assert revoked.json == {"id": made["id"], "deleted": True}
    late = await api("POST", "/agent/v1/token", machine(made["token"]))
    assert (late.status, late.code) == (401, "join_token_invalid")
    assert (await api("DELETE", f"/api/join-tokens/{made['id']}")).status == 404
    (token,) = (await api("GET", "/api/join-tokens")).json["data"]
    assert token["revoked_at"] is not None
    assert len((await api("GET", "/api/nodes")).json["data"]) == 1


async def test_another_organisation_s_tokens_are_not_there(api, rooms, database):
    made = (await api("POST", "/api/join-tokens", {})).json
    async with database.write() as connection:
        other = {"id": "org_other", "name": "other", "created_at_ms": 1}
        await connection.execute(organisations.insert().values(other))
    wanted = KeyRequest(name="admin", scope="admin")
    stranger = await rooms.services.keys.create("org_other", wanted, "person_9")
    header = f"Bearer {stranger.key}"
    assert (await api("GET", "/api/join-tokens", authorization=header)).json["data"] == []
    path = f"/api/join-tokens/{made['id']}"
    assert (await api("DELETE", path, authorization=header)).status == 404
    assert (await api("GET", "/api/join-tokens", authorization=None)).status == 401


async def test_a_node_changes_its_key_and_leaves(api, device, clock, rooms):
    machine, new = device(), device()
    token = (await api("POST", "/api/join-tokens", {})).json["token"]
    grant = machine.grant(token)
    joining = {"join_token": token, "public_key": grant["public_key"], "proof": grant["proof"]}
    node = (await api("POST", "/agent/v1/token", joining)).json
    message = proofs.rotation(node["origin"], node["node_id"], new.raw)
    wanted = {
        "node_id": node["node_id"],
        "key_id": node["key_id"],
        "public_key": new.public_key,
        "proof": new.signature(message),
        "signature": machine.signature(message),
    }
    first = await api("POST", "/agent/v1/keys", wanted, authorization=None)
    assert first.status == 200
    assert (await api("POST", "/agent/v1/keys", wanted)).json == first.json
    shown = (await api("GET", f"/api/nodes/{node['node_id']}")).json
    assert {key["id"] for key in shown["keys"]} == {node["key_id"], first.json["key_id"]}
    at_ms = clock.now_ms()
    message = proofs.unenrolment(node["origin"], node["node_id"], at_ms)
    farewell = {
        "node_id": node["node_id"],
        "key_id": first.json["key_id"],
        "at_ms": at_ms,
        "signature": new.signature(message),
    }
    answer = await api("POST", "/agent/v1/unenroll", farewell, authorization=None)
    assert answer.json == {"unenrolled": True}
    assert rooms.disconnected == [node["node_id"]]
    assert (await api("GET", f"/api/nodes/{node['node_id']}")).status == 404
    wrong = await api("POST", "/agent/v1/unenroll", {**farewell, "signature": "?"})
    assert (wrong.status, wrong.code) == (401, "proof_invalid")

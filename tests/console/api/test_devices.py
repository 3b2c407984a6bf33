from __future__ import annotations

import asyncio

import pytest

from byoi_console.accounts.keys import KeyRequest
from byoi_console.store.tables import organisations

MANY = 50


@pytest.fixture
async def begun(api, device):
    """A machine that shows its code, and what it was told."""
    machine = device()
    answer = await api("POST", "/agent/v1/device", machine.request(), authorization=None)
    assert answer.status == 200
    return machine, answer.json


async def poll(api, begun):
    machine, told = begun
    grant = machine.grant(told["device_code"])
    return await api("POST", "/agent/v1/token", grant, authorization=None)


async def test_a_machine_is_let_in_by_its_code(api, begun):
    _, told = begun
    assert set(told) == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    waiting = await poll(api, begun)
    assert waiting.status == 400
    assert waiting.headers["cache-control"] == "no-store"
    assert waiting.json == {
        "error": "authorization_pending",
        "error_description": "Nobody has approved this machine yet.",
    }
    assert (await poll(api, begun)).json["error"] == "slow_down"
    seen = (await api("GET", f"/api/devices/{told['user_code'].lower()}")).json
    assert seen["gpus"] == ["NVIDIA H200", "NVIDIA H200"]
    assert (seen["address"], seen["previous"]) == ("10.0.0.1", [])
    approved = await api(
        "POST", f"/api/devices/{told['user_code']}/approve", {"name": "Box", "mode": "idle"}
    )
    assert approved.status == 200
    assert approved.json["approved"] is True
    enrolled = await poll(api, begun)
    assert enrolled.status == 200
    assert (enrolled.json["name"], enrolled.json["mode"]) == ("Box", "idle")
    assert enrolled.json["organisation"] == "example.org"
    (node,) = (await api("GET", "/api/nodes")).json["data"]
    assert node["keys"][0]["fingerprint"] == seen["fingerprint"]
    assert (await poll(api, begun)).json == enrolled.json


async def test_a_denied_machine_is_told_so(api, begun):
    denied = await api("POST", f"/api/devices/{begun[1]['user_code']}/deny")
    assert denied.json == {"denied": True}
    assert (await poll(api, begun)).json["error"] == "access_denied"


async def test_of_fifty_approvals_at_once_one_is_taken(api, begun):
    path, statuses = f"/api/devices/{begun[1]['user_code']}/approve", []

    async def approve():
        statuses.append((await api("POST", path, {})).status)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(MANY):
            tasks.create_task(approve())
    assert sorted(statuses) == [200] + [404] * (MANY - 1)


async def test_only_admins_decide_and_each_for_their_own_organisation(api, rooms, begun, database):
    path = f"/api/devices/{begun[1]['user_code']}"
    key = (await api("POST", "/api/keys", {"name": "x"})).json["key"]
    for method, each in (("GET", path), ("POST", f"{path}/approve"), ("POST", f"{path}/deny")):
        assert (await api(method, each, authorization=None)).status == 401
        assert (await api(method, each, authorization=f"Bearer {key}")).status == 403
    async with database.write() as connection:
        other = {"id": "org_other", "name": "other", "created_at_ms": 1}
        await connection.execute(organisations.insert().values(other))
    wrong = await api("POST", f"{path}/approve", {"organisation": "org_other"})
    assert (wrong.status, wrong.code) == (403, "forbidden")
    wanted = KeyRequest(name="admin", scope="admin")
    stranger = await rooms.services.keys.create("org_other", wanted, "person_9")
    approved = await api("POST", f"{path}/approve", {}, authorization=f"Bearer {stranger.key}")
    assert approved.json["organisation"] == "org_other"


async def test_wrong_codes_are_answered_404_then_429(api, begun):
    for _ in range(5):
        answer = await api("GET", "/api/devices/BBBB-BBBB")
        assert (answer.status, answer.code) == (404, "not_found")
    answer = await api("GET", f"/api/devices/{begun[1]['user_code']}")
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) == 30


async def test_there_is_no_list_of_waiting_machines(api, begun):
    assert (await api("GET", "/api/devices")).status == 404
    assert (await api("GET", "/api/devices/")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "always"},
        {"visibility": "world"},
        {"name": "n" * 201},
        {"name": 1},
        {"take_over": ["node_1"]},
        {"take_over": "node_none"},
        {"organisation": None, "admin": True},
        [],
        "text",
    ],
    ids=str,
)
async def test_a_wrong_choice_is_answered_400_and_decides_nothing(api, begun, body):
    path = f"/api/devices/{begun[1]['user_code']}"
    assert (await api("POST", f"{path}/approve", body)).status == 400
    assert (await api("GET", path)).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": None},
        {"public_key": "A" * 65},
        {"proof": {"$ne": 1}},
        {"host": "x"},
        {"host": {"name": "n" * 201}},
        {"host": {"gpus": ["x"] * 65}},
        {"host": {"gpus": ["x" * 201]}},
        {"host": {"gpus": [[[[[]]]]]}},
        {"machine": "../../etc/passwd"},
        {"machine": "AB" * 32},
        {"machine": "ab" * 33},
    ],
    ids=lambda change: str(change)[:40],
)
async def test_a_hostile_machine_is_answered_400(api, device, change):
    answer = await api("POST", "/agent/v1/device", device().request(**change))
    assert answer.status == 400
    assert answer.code is None


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"{", b"[" * 50_000, b"{}" + b" " * 70_000, b"null"])
@pytest.mark.parametrize("path", ["device", "token", "keys", "unenroll"])
async def test_what_is_no_request_is_answered_400(api, path, raw):
    assert (await api("POST", f"/agent/v1/{path}", raw=raw)).status == 400


async def test_join_token_and_device_code_together_are_refused(api, begun):
    machine, told = begun
    both = machine.grant(told["device_code"], join_token="byoi-join-x")
    assert (await api("POST", "/agent/v1/token", both)).status == 400
    neither = {"public_key": machine.public_key, "proof": ""}
    assert (await api("POST", "/agent/v1/token", neither)).status == 400


async def test_too_many_waiting_machines_of_one_address_are_answered_429(api, device):
    for _ in range(32):
        assert (await api("POST", "/agent/v1/device", device().request())).status == 200
    answer = await api("POST", "/agent/v1/device", device().request())
    assert (answer.status, answer.code) == (429, "too_many_devices")
    assert int(answer.headers["retry-after"]) == 900
    api.peer = "10.0.0.2"
    assert (await api("POST", "/agent/v1/device", device().request())).status == 200

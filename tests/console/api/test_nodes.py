from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import insert

from byoi_console.accounts.keys import KeyRequest
from byoi_console.store.tables import organisations
from byoi_wire.messages import Advertise, Availability, PinAnswer, Status
from byoi_wire.offers import Device, Host, ModelOffer, Prices


@pytest.fixture
async def enrolled(api, machine):
    token = (await api("POST", "/api/join-tokens", {})).json["token"]
    return (await api("POST", "/agent/v1/token", machine(token))).json


@pytest.fixture
def node_id(enrolled):
    return enrolled["node_id"]


def go_live(rooms, node_id, org_id):
    node = SimpleNamespace(node_id=node_id, org_id=org_id, session=SimpleNamespace(connected=True))
    advertise = Advertise(
        version=1,
        agent_version="0.1.0",
        host=Host(os="linux", architecture="x86_64"),
        devices=(Device(index=0, kind="nvidia", name="H200"),),
        models=(
            ModelOffer(id="m", engine="vllm", routes=("/v1/completions",)),
            ModelOffer(
                id="pirate",
                engine="vllm",
                routes=("/v1/completions",),
                is_loaded=False,
                load_seconds=12.5,
                slots=4,
                base="m",
                prices=Prices(currency="EUR", input=0.1, output=0.4),
            ),
        ),
        slots=8,
    )
    rooms.services.registry.add(node, advertise)
    return node


async def test_a_node_that_never_came_is_offline(api, node_id):
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert (node["state"], node["epoch"], node["last_seen_at"]) == ("offline", 0, None)
    assert node["name"] == "workstation"
    assert node["models"] == []


async def test_a_live_node_is_shown_as_it_is_now(api, rooms, enrolled, org_id):
    node_id = enrolled["node_id"]
    await rooms.services.records.begin_session(node_id, enrolled["key_id"])
    live = go_live(rooms, node_id, org_id)
    rooms.services.registry.reserve(node_id, "m")
    status = Status(running=1, waiting=0, power_watts=(412.5,), temperatures_celsius=(55.0,))
    rooms.services.registry.set_status(node_id, status)
    (node,) = (await api("GET", "/api/nodes")).json["data"]
    assert (node["state"], node["epoch"], node["in_flight"]) == ("online", 1, 1)
    assert node["devices"][0]["name"] == "H200"
    assert node["models"][0]["id"] == "m"
    assert node["load"]["running"] == 1
    assert (node["load"]["power_watts"], node["load"]["temperatures_celsius"]) == ([412.5], [55.0])
    plain, over_it = node["models"]
    assert (plain["is_loaded"], plain["base"], plain["measured"]) == (True, None, None)
    assert (over_it["is_loaded"], over_it["load_seconds"], over_it["slots"]) == (False, 12.5, 4)
    assert (over_it["base"], over_it["prices"]["output"]) == ("m", 0.4)
    live.session.connected = False
    (node,) = (await api("GET", "/api/nodes")).json["data"]
    assert node["state"] in {"reconnecting", "unknown"}


@pytest.mark.parametrize(
    ("method", "path", "field"), [("POST", "/revoke", "revoked"), ("DELETE", "", "deleted")]
)
async def test_a_node_that_is_sent_away_loses_its_session_at_once(
    api, rooms, enrolled, method, path, field
):
    node_id = enrolled["node_id"]
    answer = await api(method, f"/api/nodes/{node_id}{path}")
    assert answer.json == {"id": node_id, field: True}
    assert rooms.disconnected == [node_id]
    assert await rooms.services.records.begin_session(node_id, enrolled["key_id"]) is None


async def test_a_deleted_node_is_gone_a_revoked_one_is_shown_as_such(api, node_id):
    await api("POST", f"/api/nodes/{node_id}/revoke")
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert (node["is_revoked"], node["state"]) == (True, "offline")
    await api("DELETE", f"/api/nodes/{node_id}")
    assert (await api("GET", f"/api/nodes/{node_id}")).status == 404
    assert (await api("GET", "/api/nodes")).json["data"] == []


async def test_another_organisation_s_node_is_not_there(api, rooms, node_id, database):
    async with database.write() as connection:
        other = {"id": "org_other", "name": "other", "created_at_ms": 1}
        await connection.execute(insert(organisations).values(other))
    wanted = KeyRequest(name="admin", scope="admin")
    stranger = await rooms.services.keys.create("org_other", wanted, "person_9")
    header = f"Bearer {stranger.key}"
    actions = [
        ("POST", f"/{name}")
        for name in ("revoke", "drain", "undrain", "rotate-key", "pin", "unpin")
    ]
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), *actions):
        answer = await api(method, f"/api/nodes/{node_id}{path}", authorization=header)
        assert (answer.status, answer.code) == (404, "not_found")
    assert rooms.disconnected == []
    assert (await api("GET", "/api/nodes", authorization=header)).json["data"] == []


async def test_an_inference_key_sees_no_nodes(api):
    key = (await api("POST", "/api/keys", {"name": "x"})).json["key"]
    assert (await api("GET", "/api/nodes", authorization=f"Bearer {key}")).status == 403


async def test_a_node_is_drained_and_served_again(api, rooms, node_id, org_id):
    go_live(rooms, node_id, org_id)
    drained = await api("POST", f"/api/nodes/{node_id}/drain")
    assert drained.json == {"id": node_id, "is_drained": True}
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert (node["is_drained"], node["is_serving"]) == (True, False)
    assert node["reason"] == "drained by an administrator"
    assert node["drained_at"] is not None
    assert rooms.services.registry.models(org_id) == ()
    await api("POST", f"/api/nodes/{node_id}/undrain")
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert (node["is_drained"], node["is_serving"], node["drained_at"]) == (False, True, None)


async def test_a_new_key_is_ordered_now_or_for_later(api, rooms, node_id):
    later = await api("POST", f"/api/nodes/{node_id}/rotate-key")
    assert (later.status, later.json["delivered"]) == (202, False)
    rooms.links.addresses[node_id] = "198.51.100.7"
    now = await api("POST", f"/api/nodes/{node_id}/rotate-key")
    assert (now.json["ordered"], now.json["delivered"]) == (True, True)
    assert rooms.links.asked_for_new_keys == [node_id, node_id]
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert node["rotation_ordered_at"] is not None
    assert node["address"] == "198.51.100.7"


async def test_name_visibility_and_mode_are_changed(api, node_id):
    changed = await api("PATCH", f"/api/nodes/{node_id}", {"name": "Box", "mode": "idle"})
    assert (changed.status, changed.json["name"], changed.json["mode"]) == (200, "Box", "idle")
    shared = await api("PATCH", f"/api/nodes/{node_id}", {"visibility": "community"})
    assert (shared.json["name"], shared.json["visibility"]) == ("Box", "community")
    for wrong in (
        {"name": ""},
        {"name": "n" * 201},
        {"mode": "x"},
        {"id": "y"},
        {"name": "\u202e"},
    ):
        assert (await api("PATCH", f"/api/nodes/{node_id}", wrong)).status == 400
    assert (await api("GET", f"/api/nodes/{node_id}")).json["name"] == "Box"


async def test_a_node_s_keys_are_shown_with_their_history(api, enrolled):
    (key,) = (await api("GET", f"/api/nodes/{enrolled['node_id']}")).json["keys"]
    assert key["id"] == enrolled["key_id"]
    assert len(key["fingerprint"].split("-")) == 4
    assert key["created_at"] is not None
    assert (key["first_used_at"], key["revoked_at"]) == (None, None)
    await api("POST", f"/api/nodes/{enrolled['node_id']}/revoke")
    (key,) = (await api("GET", f"/api/nodes/{enrolled['node_id']}")).json["keys"]
    assert key["revoked_at"] is not None


async def test_a_node_is_asked_for_and_its_owner_s_answer_is_seen(api, rooms, node_id):
    asked = await api("POST", f"/api/nodes/{node_id}/pin", {"reason": "for the night"})
    assert (asked.status, asked.json["delivered"]) == (202, False)
    pin = asked.json["pin"]
    assert (pin["state"], pin["reason"], pin["answered_at"]) == ("asked", "for the night", None)
    assert pin["asked_by"].startswith("API key ")
    assert (await api("POST", f"/api/nodes/{node_id}/pin", {})).status == 400
    answer = PinAnswer(pin_id=pin["id"], state="granted", actor="uid 1000 (jo)", at_ms=1)
    rooms.pins.answered(node_id, answer)
    pin = (await api("GET", f"/api/nodes/{node_id}")).json["pin"]
    assert (pin["state"], pin["answered_by"]) == ("granted", "uid 1000 (jo)")
    over = await api("POST", f"/api/nodes/{node_id}/unpin")
    assert over.json["pin"]["state"] == "ended"
    assert (await api("POST", f"/api/nodes/{node_id}/unpin")).status == 404


async def test_whether_a_node_serves_and_why_is_told_to_programs(api, rooms, node_id, org_id):
    go_live(rooms, node_id, org_id)
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert node["availability"]["state"] == "serving"
    paused = Availability(
        serving=False,
        reason="paused by its owner",
        code="paused",
        mode="idle",
        is_paused=True,
        until_ms=1_900_000_000_000,
    )
    rooms.services.registry.set_availability(node_id, paused)
    (node,) = (await api("GET", "/api/nodes")).json["data"]
    assert node["availability"] == {
        "state": "paused",
        "code": "paused",
        "reason": "paused by its owner",
        "mode": "idle",
        "is_paused": True,
        "until": "2030-03-17T17:46:40.000Z",
    }
    await api("POST", f"/api/nodes/{node_id}/drain")
    node = (await api("GET", f"/api/nodes/{node_id}")).json
    assert (node["availability"]["state"], node["availability"]["code"]) == ("drained", "drained")

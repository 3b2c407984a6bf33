from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import select

from byoi_console.errors import NotFound
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.records import NodeChanges
from byoi_console.store.tables import audit_log


@pytest.fixture
async def enrolled(enrolment, join_tokens, org_id, machine):
    new = await join_tokens.create(org_id, "person_1")
    return await enrolment.join(JoinRequest.model_validate(machine(new.token)))


async def test_a_new_node_was_never_seen(records, enrolled, org_id):
    (node,) = await records.list(org_id)
    assert node.last_seen_at_ms is None
    assert node.epoch == 0
    assert not node.is_revoked
    assert node.host["os"] == "linux"
    assert await records.list("org_other") == []
    assert await records.get("node_other") is None
    assert await records.key("nkey_other") is None


async def test_epochs_rise_one_by_one_whoever_asks(records, enrolled):
    epochs = []

    async def begin():
        epochs.append((await records.begin_session(enrolled.node_id, enrolled.key_id)).epoch)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(begin())
    assert sorted(epochs) == list(range(1, 21))


async def test_a_revoked_node_gets_no_session_and_its_key_is_kept_as_revoked(records, enrolled):
    await records.revoke(enrolled.node_id, "person_1")
    assert await records.begin_session(enrolled.node_id, enrolled.key_id) is None
    assert (await records.get(enrolled.node_id)).is_revoked
    assert (await records.key(enrolled.key_id)).is_revoked


async def test_a_deleted_node_is_listed_no_more(records, enrolled, org_id):
    await records.delete(enrolled.node_id, "person_1")
    assert await records.list(org_id) == []
    assert await records.get(enrolled.node_id) is None
    assert (await records.key(enrolled.key_id)).is_revoked
    assert await records.begin_session(enrolled.node_id, enrolled.key_id) is None
    with pytest.raises(NotFound):
        await records.revoke(enrolled.node_id, "person_1")


async def test_comings_and_goings_are_noted(records, enrolled, clock):
    await records.begin_session(enrolled.node_id, enrolled.key_id)
    clock.seconds += 10
    await records.seen([enrolled.node_id])
    assert (await records.get(enrolled.node_id)).last_seen_at_ms == clock.now_ms()
    clock.seconds += 10
    await records.departed(enrolled.node_id, with_goodbye=True)
    node = await records.get(enrolled.node_id)
    assert (node.last_seen_at_ms, node.has_departed) == (clock.now_ms(), True)
    await records.begin_session(enrolled.node_id, enrolled.key_id)
    assert not (await records.get(enrolled.node_id)).has_departed
    await records.seen([])


async def test_who_sent_a_node_away_is_in_the_audit_log(records, enrolled, audit):
    await records.revoke(enrolled.node_id, "person_1")
    await records.delete(enrolled.node_id, "person_1")
    assert await audit.first_broken() is None


async def test_changes_are_made_and_told_with_what_was_before(records, enrolled, database):
    await records.change(enrolled.node_id, NodeChanges(name="Box", mode="idle"), "person_1")
    node = await records.get(enrolled.node_id)
    assert (node.name, node.mode, node.visibility) == ("Box", "idle", "org")
    await records.change(enrolled.node_id, NodeChanges(name="Box"), "person_1")
    await records.change(enrolled.node_id, NodeChanges(), "person_1")
    async with database.read() as connection:
        query = select(audit_log.c.details).where(audit_log.c.action == "node.changed")
        (told,) = await connection.execute(query)
    assert json.loads(told.details) == {
        "before": {"name": "workstation", "mode": "dedicated"},
        "after": {"name": "Box", "mode": "idle"},
    }


async def test_a_key_is_shown_as_people_compare_it(records, enrolled, clock):
    (key,) = (await records.keys([enrolled.node_id]))[enrolled.node_id]
    assert key.key_id == enrolled.key_id
    assert [len(part) for part in key.fingerprint.split("-")] == [4, 4, 4, 4]
    assert (key.first_used_at_ms, key.revoked_at_ms) == (None, None)
    await records.begin_session(enrolled.node_id, enrolled.key_id)
    (key,) = (await records.keys([enrolled.node_id]))[enrolled.node_id]
    assert key.first_used_at_ms == clock.now_ms()
    assert await records.keys([]) == {}


async def test_a_key_of_another_node_begins_no_session(records, enrolled):
    assert await records.begin_session(enrolled.node_id, "nkey_other") is None
    assert await records.begin_session("node_other", enrolled.key_id) is None


async def test_what_standing_nodes_offered_lately_is_known(records, enrolled, org_id, clock):
    since = clock.now_ms()
    await records.offer({enrolled.node_id: ("m1", "m2"), "node_none": ("m9",)})
    assert await records.offered_since(since) == [], "it was never here"
    await records.seen([enrolled.node_id])
    assert await records.offered_since(since) == [(enrolled.node_id, org_id, ("m1", "m2"))]
    assert await records.offered_since(since + 1) == []
    await records.revoke(enrolled.node_id, "person_1")
    assert await records.offered_since(since) == []

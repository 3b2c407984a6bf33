from __future__ import annotations

import asyncio

import pytest

from byoi_console.errors import NotFound
from byoi_console.nodes.enrolment import JoinRequest


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

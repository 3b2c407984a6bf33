from __future__ import annotations

import asyncio
import base64

import pytest
from sqlalchemy import select

from byoi_console.errors import EnrolmentRefused, TooManyAttempts
from byoi_console.nodes import proofs
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.node_requests import KeyRequest, UnenrolRequest
from byoi_console.store.tables import audit_log


class Node:
    """A machine that is a node, with the keys it has made itself."""

    def __init__(self, machine, enrolled):
        self.machine, self.enrolled = machine, enrolled
        self.key_id = enrolled.key_id

    def rotation(self, new, signer=None, key_id=None, **changes):
        node_id = self.enrolled.node_id
        message = proofs.rotation(self.enrolled.origin, node_id, new.raw)
        body = {
            "node_id": node_id,
            "key_id": key_id or self.key_id,
            "public_key": new.public_key,
            "proof": new.signature(message),
            "signature": (signer or self.machine).signature(message),
        }
        return KeyRequest.model_validate({**body, **changes})

    def farewell(self, now_ms, signer=None, key_id=None, **changes):
        node_id = self.enrolled.node_id
        message = proofs.unenrolment(self.enrolled.origin, node_id, now_ms)
        body = {
            "node_id": node_id,
            "key_id": key_id or self.key_id,
            "at_ms": now_ms,
            "signature": (signer or self.machine).signature(message),
        }
        return UnenrolRequest.model_validate({**body, **changes})


@pytest.fixture
async def enrol(enrolment, join_tokens, org_id, device):
    async def enrol():
        token = (await join_tokens.create(org_id, "person_1")).token
        machine = device()
        grant = machine.grant(token)
        enrolled = await enrolment.join(
            JoinRequest(join_token=token, public_key=grant["public_key"], proof=grant["proof"])
        )
        return Node(machine, enrolled)

    return enrol


@pytest.fixture
async def node(enrol):
    return await enrol()


async def code_of(call):
    with pytest.raises(EnrolmentRefused) as refused:
        await call
    return refused.value.code


async def actions(database):
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log.c.action).order_by(audit_log.c.seq))
        return [row.action for row in rows]


# Another key


async def test_both_keys_are_good_until_the_new_one_is_used(
    node, node_requests, records, device, database
):
    node_id, old = node.enrolled.node_id, node.key_id
    await records.begin_session(node_id, old)
    new = await node_requests.rotate(node.rotation(device()))
    assert (await records.begin_session(node_id, old)).epoch == 2
    assert not (await records.key(old)).is_revoked
    assert (await records.begin_session(node_id, new)).epoch == 3
    assert (await records.key(old)).is_revoked
    assert await records.begin_session(node_id, old) is None
    assert (await records.begin_session(node_id, new)).epoch == 4
    assert (await actions(database))[-1] == "node.key_rotated"


async def test_the_first_key_s_first_use_ends_no_key_that_was_made_in_between(
    node, node_requests, records, device
):
    new = await node_requests.rotate(node.rotation(device()))
    await records.begin_session(node.enrolled.node_id, node.key_id)
    assert not (await records.key(new)).is_revoked


async def test_an_order_to_rotate_stands_until_the_new_key_is_used(
    node, node_requests, records, device
):
    node_id, old = node.enrolled.node_id, node.key_id
    await records.order_rotation(node_id, "person_1")
    assert (await records.begin_session(node_id, old)).shall_rotate
    new = await node_requests.rotate(node.rotation(device()))
    assert (await records.begin_session(node_id, old)).shall_rotate
    assert not (await records.begin_session(node_id, new)).shall_rotate
    assert (await records.get(node_id)).rotation_ordered_at_ms is None


async def test_the_same_request_again_gives_the_same_key_even_after_its_use(
    node, node_requests, records, device
):
    wanted = node.rotation(device())
    first = await node_requests.rotate(wanted)
    assert await node_requests.rotate(wanted) == first
    await records.begin_session(node.enrolled.node_id, first)
    assert await node_requests.rotate(wanted) == first
    assert len((await records.keys([node.enrolled.node_id]))[node.enrolled.node_id]) == 2


async def test_of_fifty_identical_requests_at_once_one_key_comes(
    node, node_requests, records, device
):
    wanted, given = node.rotation(device()), set()

    async def rotate():
        given.add(await node_requests.rotate(wanted))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(rotate())
    assert len(given) == 1


async def test_a_further_rotation_replaces_one_that_never_connected(
    node, node_requests, records, device
):
    lost = await node_requests.rotate(node.rotation(device()))
    new = await node_requests.rotate(node.rotation(device()))
    assert await records.key(lost) is None
    keys = (await records.keys([node.enrolled.node_id]))[node.enrolled.node_id]
    assert {key.key_id for key in keys} == {node.key_id, new}


async def test_a_replaced_key_makes_no_new_keys_and_ends_no_node(
    node, node_requests, records, device, clock
):
    new = device()
    new_key = await node_requests.rotate(node.rotation(new))
    await records.begin_session(node.enrolled.node_id, new_key)
    assert await code_of(node_requests.rotate(node.rotation(device()))) == "key_replaced"
    assert await code_of(node_requests.unenrol(node.farewell(clock.now_ms()))) == "key_replaced"
    third = node.rotation(device(), signer=new, key_id=new_key)
    assert await node_requests.rotate(third)


async def test_a_new_key_needs_both_signatures(node, node_requests, device, enrol):
    thief = device()
    for wanted in (
        node.rotation(thief, signer=thief),
        node.rotation(thief, proof=""),
        node.rotation(thief, proof=node.machine.signature(b"x")),
        node.rotation(thief, public_key="AAAA"),
        node.rotation(thief, public_key=base64.b64encode(b"k" * 32).decode()),
    ):
        assert await code_of(node_requests.rotate(wanted)) == "proof_invalid"
    other = await enrol()
    assert (
        await code_of(node_requests.rotate(node.rotation(device(), key_id=other.key_id)))
        == "key_unknown"
    )


async def test_a_rotation_meant_for_another_console_is_refused(node, node_requests, device):
    new = device()
    message = proofs.rotation("https://other.example", node.enrolled.node_id, new.raw)
    wanted = node.rotation(
        new, proof=new.signature(message), signature=node.machine.signature(message)
    )
    assert await code_of(node_requests.rotate(wanted)) == "proof_invalid"


async def test_another_node_s_key_cannot_be_taken(node, node_requests, enrol):
    other = await enrol()
    assert await code_of(node_requests.rotate(node.rotation(other.machine))) == "key_known"


async def test_a_revoked_node_makes_no_new_keys(node, node_requests, records, device):
    await records.revoke(node.enrolled.node_id, "person_1")
    assert await code_of(node_requests.rotate(node.rotation(device()))) == "node_revoked"


async def test_a_node_that_makes_key_after_key_is_slowed(node, node_requests, device):
    for _ in range(10):
        await node_requests.rotate(node.rotation(device()))
    with pytest.raises(TooManyAttempts, match="too many new keys"):
        await node_requests.rotate(node.rotation(device()))


# Farewell


async def test_a_node_that_leaves_is_deleted_and_its_session_ends(
    node, node_requests, records, disconnected, clock, org_id, database
):
    await node_requests.unenrol(node.farewell(clock.now_ms()))
    assert await records.list(org_id) == []
    assert (await records.key(node.key_id)).is_revoked
    assert disconnected == [node.enrolled.node_id]
    assert (await actions(database))[-1] == "node.unenrolled"


async def test_a_farewell_whose_answer_was_lost_is_answered_again(
    node, node_requests, clock, database
):
    for _ in range(3):
        await node_requests.unenrol(node.farewell(clock.now_ms()))
    assert (await actions(database)).count("node.unenrolled") == 1


async def test_a_revoked_node_may_still_leave(node, node_requests, records, clock, org_id):
    await records.revoke(node.enrolled.node_id, "person_1")
    await node_requests.unenrol(node.farewell(clock.now_ms()))
    assert await records.list(org_id) == []


@pytest.mark.parametrize("off_seconds", [-601, 601])
async def test_a_farewell_of_another_time_is_refused(
    node, node_requests, clock, off_seconds, records
):
    at_ms = clock.now_ms() + off_seconds * 1000
    assert await code_of(node_requests.unenrol(node.farewell(at_ms))) == "clock_differs"
    assert await records.get(node.enrolled.node_id) is not None


async def test_nobody_else_says_farewell_for_a_node(
    node, node_requests, clock, device, enrol, records, disconnected
):
    now, other = clock.now_ms(), await enrol()
    for wanted, code in (
        (node.farewell(now, signer=device()), "proof_invalid"),
        (node.farewell(now, signer=other.machine), "proof_invalid"),
        (node.farewell(now, at_ms=now + 1), "proof_invalid"),
        (node.farewell(now, signature="?"), "proof_invalid"),
        (node.farewell(now, signer=other.machine, key_id=other.key_id), "key_unknown"),
        (node.farewell(now, node_id="node_none"), "key_unknown"),
    ):
        assert await code_of(node_requests.unenrol(wanted)) == code
    assert await records.get(node.enrolled.node_id) is not None
    assert disconnected == []


async def test_guessing_is_slowed_per_address(node, node_requests, clock, device):
    wrong = node.farewell(clock.now_ms(), signer=device())
    for _ in range(20):
        await code_of(node_requests.unenrol(wrong, peer="10.0.0.1"))
    with pytest.raises(TooManyAttempts):
        await node_requests.rotate(node.rotation(device()), peer="10.0.0.1")
    await node_requests.unenrol(node.farewell(clock.now_ms()), peer="10.0.0.2")

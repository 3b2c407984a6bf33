from __future__ import annotations

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select

from byoi_console.accounts.audit import AuditLog
from byoi_console.errors import EnrolmentRefused, TooManyAttempts
from byoi_console.nodes.enrolment import Enrolment, JoinRequest
from byoi_console.nodes.join_tokens import JoinTokens
from byoi_console.nodes.keys import load_console_keys
from byoi_console.store.database import Database
from byoi_console.store.tables import node_keys, nodes


async def count(database, table):
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def test_a_machine_becomes_a_node_of_the_token_s_organisation(
    enrolment, join_tokens, records, org_id, machine, console_keys
):
    new = await join_tokens.create(org_id, "person_1")
    body = machine(new.token)
    enrolled = await enrolment.join(JoinRequest.model_validate(body))
    node = await records.get(enrolled.node_id)
    assert node.org_id == org_id
    assert node.name == "workstation"
    key = await records.key(enrolled.key_id)
    assert key.node_id == enrolled.node_id
    assert base64.b64encode(key.key.public_bytes_raw()).decode() == body["public_key"]
    assert enrolled.console_key == console_keys.public_key
    assert enrolled.console_key_id == console_keys.key_id
    assert enrolled.origin == "http://127.0.0.1:8700"


async def test_of_fifty_at_once_with_a_single_use_token_exactly_one_is_admitted(
    database, database_url, enrolment, join_tokens, org_id, machine, console_keys
):
    """Half of them come through another process's connections to the same file."""
    new = await join_tokens.create(org_id, "person_1", expires_in_seconds=10**9)
    other = Database(database_url)
    audit = AuditLog(other)
    second = Enrolment(other, audit, JoinTokens(other, audit), console_keys)
    admitted, refused = [], []

    async def redeem(number):
        door = (enrolment, second)[number % 2]
        try:
            request = JoinRequest.model_validate(machine(new.token))
            admitted.append(await door.join(request, peer=str(number)))
        except EnrolmentRefused as refusal:
            refused.append(refusal.code)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(redeem(number))
    await other.close()
    assert len(admitted) == 1
    assert refused == ["join_token_invalid"] * 49
    assert await count(database, nodes) == 1
    assert await count(database, node_keys) == 1


async def test_an_answer_that_was_lost_is_given_again_and_costs_no_use(
    database, enrolment, join_tokens, org_id, machine
):
    new = await join_tokens.create(org_id, "person_1")
    request = JoinRequest.model_validate(machine(new.token))
    first = await enrolment.join(request)
    assert await enrolment.join(request) == first
    await join_tokens.revoke(org_id, new.id, "person_1")
    assert await enrolment.join(request) == first, "it was admitted before the token's end"
    assert await count(database, nodes) == 1
    assert (await join_tokens.list(org_id))[0].uses_left == 0
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrolment.join(JoinRequest.model_validate(machine(new.token)))
    assert refusal.value.code == "join_token_invalid"


@pytest.mark.parametrize(
    "what",
    ["connected", "revoked", "long ago", "by another token", "another host", "another machine"],
)
async def test_what_is_not_a_lost_answer_is_refused_and_costs_no_use(
    enrolment, join_tokens, records, org_id, machine, clock, what
):
    new = await join_tokens.create(org_id, "person_1", uses=2, expires_in_seconds=86_400)
    other = await join_tokens.create(org_id, "person_1")
    key = Ed25519PrivateKey.generate()
    body = machine(new.token, key=key)
    enrolled = await enrolment.join(JoinRequest.model_validate(body))
    if what == "connected":
        await records.begin_session(enrolled.node_id, enrolled.key_id)
    elif what == "revoked":
        await records.revoke(enrolled.node_id, "person_1")
    elif what == "long ago":
        clock.seconds += 601
    elif what == "another host":
        body = {**body, "host": {**body["host"], "name": "its clone"}}
    elif what == "another machine":
        body = {**body, "machine": "ab" * 32}
    else:
        body = machine(other.token, key=key)
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrolment.join(JoinRequest.model_validate(body))
    assert refusal.value.code == "key_known"
    await enrolment.join(JoinRequest.model_validate(machine(new.token)))


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": base64.b64encode(b"k" * 32).decode()},
        {"public_key": base64.b64encode(b"k" * 31).decode()},
        {"public_key": "not base64!"},
        {"public_key": "é"},
        {"proof": base64.b64encode(b"p" * 64).decode()},
        {"proof": ""},
    ],
    ids=lambda change: "-".join(next(iter(change.items()))),
)
async def test_a_proof_that_does_not_fit_is_refused_and_costs_no_use(
    enrolment, join_tokens, org_id, machine, change
):
    new = await join_tokens.create(org_id, "person_1")
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrolment.join(JoinRequest.model_validate(machine(new.token, **change)))
    assert refusal.value.code == "proof_invalid"
    await enrolment.join(JoinRequest.model_validate(machine(new.token)))


async def test_a_proof_for_another_token_is_refused(enrolment, join_tokens, org_id, machine):
    first = await join_tokens.create(org_id, "person_1")
    second = await join_tokens.create(org_id, "person_1")
    body = {**machine(first.token), "join_token": second.token}
    with pytest.raises(EnrolmentRefused) as refusal:
        await enrolment.join(JoinRequest.model_validate(body))
    assert refusal.value.code == "proof_invalid"


async def test_guessing_is_slowed_per_peer(enrolment, join_tokens, org_id, machine):
    for _ in range(20):
        with pytest.raises(EnrolmentRefused):
            await enrolment.join(JoinRequest.model_validate(machine("wrong")), peer="10.0.0.1")
    new = await join_tokens.create(org_id, "person_1")
    with pytest.raises(TooManyAttempts):
        await enrolment.join(JoinRequest.model_validate(machine(new.token)), peer="10.0.0.1")
    await enrolment.join(JoinRequest.model_validate(machine(new.token)), peer="10.0.0.2")


async def test_who_asks_again_and_again_has_lost_no_answers_and_waits_alone(
    enrolment, join_tokens, org_id, machine, clock
):
    new = await join_tokens.create(org_id, "person_1", uses=2)
    request = JoinRequest.model_validate(machine(new.token))
    first = await enrolment.join(request, peer="10.0.0.1")
    for _ in range(19):
        assert await enrolment.join(request, peer="10.0.0.1") == first
    with pytest.raises(TooManyAttempts):
        await enrolment.join(request, peer="10.0.0.2")
    await enrolment.join(JoinRequest.model_validate(machine(new.token)), peer="10.0.0.1")
    clock.seconds += 3
    assert await enrolment.join(request, peer="10.0.0.1") == first


async def test_an_enrolment_is_in_the_audit_log(enrolment, join_tokens, org_id, machine, audit):
    new = await join_tokens.create(org_id, "person_1")
    await enrolment.join(JoinRequest.model_validate(machine(new.token)))
    assert await audit.first_broken() is None


async def test_the_console_s_keys_are_made_once(database, console_keys):
    again = await load_console_keys(database, origin=None, first_origin="http://127.0.0.1:1")
    assert again.public_key == console_keys.public_key
    assert again.ticket_secret == console_keys.ticket_secret
    assert again.origin == console_keys.origin

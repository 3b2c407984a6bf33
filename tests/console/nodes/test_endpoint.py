"""The agents' door against nodes that lie, flood or say nothing, and a database that refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from byoi_console.nodes import endpoint
from byoi_console.nodes.administration import NodeAdministration
from byoi_console.nodes.device_flow.requests import (
    Approval,
    Approver,
    DeviceRequest,
    GrantRequest,
)
from byoi_console.store.tables import ledger_rows
from byoi_wire import codec
from byoi_wire.messages import (
    Availability,
    Data,
    Head,
    Open,
    Reject,
    ResumeOffer,
    RotateKey,
    UsageBatch,
    Welcome,
    Window,
)

REFUSES = OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))


# Before it has proven itself


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("not JSON", 1002),
        ('{"type": "renew", "seq": 1}', 1002),
        ('{"type": "hello"}', 1002),
        (b"\x03\x00\x00\x00\x00\x01\x00\x00\x00\x00", 1002),
        ("x" * 100_000, 1009),
    ],
    ids=["text", "another message", "half a hello", "frames", "too much"],
)
async def test_nonsense_instead_of_a_hello_ends_that_link_alone(house, said, code):
    honest = await house.come_in()
    machine = await house.come()
    machine.channel.send(said)
    assert (await machine.end())[0] == code
    assert not honest.closed.done()
    assert house.registry.live() == (honest.enrolled.node_id,)


async def test_a_machine_that_says_nothing_is_sent_away_in_time(house, monkeypatch):
    monkeypatch.setattr(endpoint, "HANDSHAKE_SECONDS", 0.02)
    machine = await house.come()
    assert await machine.end() == (1008, "no handshake in time")


async def test_one_address_cannot_keep_the_door_busy(house):
    waiting = [await house.come("192.0.2.9") for _ in range(endpoint.UNPROVEN_PER_ADDRESS)]
    refused = await house.come("192.0.2.9")
    told = codec.decode_control(await refused.next())
    assert told.code == "retry"
    least, most = endpoint.RETURN_SECONDS
    assert least * 1000 <= told.retry_after_ms <= most * 1000
    assert (await refused.end())[0] == 1013
    await house.come_in("192.0.2.10")
    assert not any(machine.closed.done() for machine in waiting)


async def test_who_comes_while_the_door_ends_is_asked_to_come_again(house):
    inside = await house.come_in()
    house.end_door()
    await asyncio.sleep(0)  # it says goodbye to those inside now
    late = await house.come(as_known=(inside.enrolled, inside.key))
    assert codec.decode_control(await late.next()).code == "retry"
    assert (await late.end())[0] == 1013


async def test_an_ipv6_network_cannot_keep_the_door_busy_from_its_many_addresses(house):
    for number in range(endpoint.UNPROVEN_PER_ADDRESS):
        await house.come(f"2001:db8::{number}")
    refused = await house.come("2001:db8::ffff")
    assert codec.decode_control(await refused.next()).code == "retry"
    await house.come_in("2001:db8:0:1::1")


@pytest.mark.parametrize(
    "changes",
    [
        {"key_id": "nkey_unknown"},
        {"node_id": "node_unknown"},
        {"signature": base64.b64encode(bytes(64)).decode()},
        {"signature": "no base64!"},
        {"nonce": "another"},
        {"instance_id": "another"},
    ],
)
async def test_whoever_cannot_prove_its_hello_is_rejected(house, changes):
    machine = await house.come()
    verdict = await machine.hello(**changes)
    assert isinstance(verdict, Reject)
    assert verdict.code == "reauth"
    assert house.registry.live() == ()


# Once it is in


@pytest.mark.parametrize(
    "frames",
    [
        (Data(7, b"for a stream that never was"),),
        (Head(7, b"{}"),),
        (Window(7, 0, 1),),
        (Open(1, b"{}"),),
    ],
    ids=["data", "head", "window", "open"],
)
async def test_frames_for_streams_that_never_were_end_that_link_alone(house, frames):
    honest = await house.come_in()
    machine = await house.come_in()
    machine.frames(*frames)
    assert (await machine.end())[0] == 1002
    assert not honest.closed.done()


async def test_more_models_than_a_console_holds_are_not_taken(house):
    machine = await house.come()
    await machine.hello()
    machine.offer(models=endpoint.MODELS_LIMIT + 1)
    assert (await machine.end())[0] == 1009
    assert house.registry.live() == ()


async def test_an_advertisement_beyond_a_message_is_not_even_read(house):
    machine = await house.come()
    await machine.hello()
    machine.channel.send('{"type":"advertise","models":[' + '"m",' * 10**6 + '"m"]}')
    assert (await machine.end())[0] == 1009


async def test_usage_for_requests_that_were_never_given_is_booked_nowhere(house, database):
    machine = await house.come_in()
    machine.say(UsageBatch(records=(machine.signed(machine.record()),)))
    ack = codec.decode_control(await machine.next())
    assert [name.request_id for name in ack.ids] == ["req_never_given"], "refused for good"
    async with database.read() as connection:
        assert (await connection.execute(select(ledger_rows))).all() == []


async def test_usage_that_another_signed_or_that_speaks_of_another_ends_the_link(house):
    other = await house.come_in()
    for lie in (
        lambda m: other.signed(m.record()),
        lambda m: m.signed(m.record(node_id=other.enrolled.node_id)),
        lambda m: m.signed(m.record()).model_copy(
            update={"body": m.record(attempt=2).model_dump_json()}
        ),
    ):
        machine = await house.come_in()
        machine.say(UsageBatch(records=(lie(machine),)))
        assert (await machine.end())[0] == 1002
    assert not other.closed.done()


# Keys that change


async def test_a_replaced_key_is_turned_away_and_told_why(house):
    machine = await house.come_in()
    known = await house.rotated(machine)
    await house.come_in(as_known=known)
    late = await house.come(as_known=(machine.enrolled, machine.key))
    verdict = await late.hello()
    assert (verdict.code, verdict.message) == (
        "reauth",
        "this key was replaced by a newer one of this node",
    )


async def test_a_revoked_node_is_told_so_with_any_of_its_keys(house, records):
    machine = await house.come_in()
    known = await house.rotated(machine)
    await house.come_in(as_known=known)
    await records.revoke(machine.enrolled.node_id, "person_1")
    for each in ((machine.enrolled, machine.key), known):
        late = await house.come(as_known=each)
        assert (await late.hello()).code == "revoked"


async def test_a_key_that_changes_between_proof_and_session_is_told_to_come_again(
    house, records, monkeypatch
):
    async def changed(*_):
        return None

    machine = await house.come()
    monkeypatch.setattr(records, "begin_session", changed)
    verdict = await machine.hello()
    assert (verdict.code, verdict.retry_after_ms) == ("retry", 1000)


async def test_the_same_process_goes_on_with_its_session_under_its_new_key(house):
    machine = await house.come()
    first = await machine.hello(instance="one")
    machine.offer()
    known = await house.rotated(machine)
    again = await house.come(as_known=known)
    second = await again.hello(
        instance="one", resume=ResumeOffer(session_id=first.session_id, streams=())
    )
    assert second.session_id == first.session_id
    assert second.resumed == ()
    assert list(house.sessions.connected()) == [machine.enrolled.node_id]


async def test_usage_signed_with_a_replaced_key_still_counts(house):
    machine = await house.come_in()
    old = machine.signed(machine.record())
    again = await house.come_in(as_known=await house.rotated(machine))
    again.say(UsageBatch(records=(old, again.signed(again.record(attempt=2)))))
    ack = codec.decode_control(await again.next())
    assert [name.attempt for name in ack.ids] == [1, 2]
    assert not again.closed.done()


async def test_an_order_to_rotate_reaches_a_node_now_or_when_it_is_back(house, records):
    machine = await house.come_in()
    node_id = machine.enrolled.node_id
    administration = NodeAdministration(records, house.sessions, house.registry, house.pins)
    assert await administration.order_rotation(node_id, "person_1") is True
    assert isinstance(codec.decode_control(await machine.next()), RotateKey)
    again = await house.come_in(as_known=(machine.enrolled, machine.key))
    assert isinstance(codec.decode_control(await again.next()), RotateKey)
    assert again.heard.empty(), "once for each link"


async def test_an_order_given_while_the_node_is_just_coming_reaches_it(house, records):
    administration = NodeAdministration(records, house.sessions, house.registry, house.pins)
    machine = await house.come()
    begin = records.begin_session

    async def ordered_meanwhile(*args):
        begun = await begin(*args)
        assert not await administration.order_rotation(machine.enrolled.node_id, "person_1")
        return begun

    records.begin_session = ordered_meanwhile
    assert isinstance(await machine.hello(), Welcome)
    assert isinstance(codec.decode_control(await machine.next()), RotateKey)


async def test_where_a_node_s_link_comes_from_is_known(house):
    machine = await house.come_in("198.51.100.7")
    assert house.sessions.address(machine.enrolled.node_id) == "198.51.100.7"
    assert house.sessions.address("node_other") is None


async def test_what_nodes_offer_is_written_down(house, records, org_id):
    machine = await house.come_in()
    machine.offer(models=2)
    async with asyncio.timeout(60):
        while not (written := await records.offered_since(0)):
            await asyncio.sleep(0.05)
    (last,) = written
    assert (last.node_id, last.org_id) == (machine.enrolled.node_id, org_id)
    assert set(last.models) == {"m0", "m1"}


async def test_of_a_node_at_rest_what_it_offered_before_stays_written_down(house, records):
    machine = await house.come_in()
    machine.say(Availability(serving=False))
    machine.offer(first=1)
    async with asyncio.timeout(60):
        while not (written := await records.offered_since(0)) or "m1" not in written[0].models:
            await asyncio.sleep(0.05)
    assert written[0].models == ("m0", "m1")


async def test_a_machine_made_anew_ends_its_old_link_at_once(
    house, devices, device, org_id, disconnected
):
    first, again = device(), device()
    admin = Approver("person_1", (org_id,))

    async def enrol(machine, **approval):
        begun = await devices.start(DeviceRequest.model_validate(machine.request()))
        await devices.approve(begun.user_code, Approval(**approval), admin)
        return await devices.poll(GrantRequest.model_validate(machine.grant(begun.device_code)))

    old = await house.come_in(as_known=(await enrol(first), first.key))
    new = await enrol(again, take_over=old.enrolled.node_id)
    for node_id in disconnected:
        house.sessions.disconnect(node_id)
    async with asyncio.timeout(60):
        assert await old.end() == (1008, "revoked")
    late = await house.come(as_known=(old.enrolled, first.key))
    assert (await late.hello()).code == "reauth"
    back = await house.come_in(as_known=(new, again.key))
    assert back.enrolled.node_id == old.enrolled.node_id


# While the database refuses


@contextlib.contextmanager
def refusing(records, monkeypatch, name):
    async def refuse(*_, **__):
        raise REFUSES

    with monkeypatch.context() as patch:
        patch.setattr(records, name, refuse)
        yield


async def test_signs_of_life_that_cannot_be_written_cost_no_link(
    house, records, monkeypatch, caplog
):
    machine = await house.come_in()
    with refusing(records, monkeypatch, "seen"):
        for _ in range(3):
            await house.door._note_life()
    await house.door._note_life()
    assert not machine.closed.done()
    told = [line.message for line in caplog.records if line.levelname == "WARNING"]
    assert told == ["signs of life not written"], "once, not each time"


async def test_a_node_that_cannot_be_looked_up_is_asked_to_come_again(house, records, monkeypatch):
    machine = await house.come()
    with refusing(records, monkeypatch, "begin_session"):
        verdict = await machine.hello()
    assert (verdict.code, verdict.retry_after_ms) == ("retry", 5000)
    await house.come_in()


async def test_usage_that_cannot_be_booked_is_not_acknowledged_and_the_link_stays(
    house, records, monkeypatch
):
    machine = await house.come_in()
    with refusing(records, monkeypatch, "key"):
        machine.say(UsageBatch(records=(machine.signed(machine.record()),)))
        for _ in range(20):
            await asyncio.sleep(0)
    assert machine.heard.empty()
    machine.say(UsageBatch(records=(machine.signed(machine.record()),)))
    assert codec.decode_control(await machine.next()).ids
    assert not machine.closed.done()


async def test_a_link_whose_task_fails_leaves_no_session_that_seems_connected(house, monkeypatch):
    machine = await house.come_in()

    async def fail(*_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(house.door, "book", fail)
    machine.say(UsageBatch(records=()))
    async with asyncio.timeout(60):
        while house.registry.live():
            await house.registry.wait_for_change()
    assert list(house.sessions.connected()) == []

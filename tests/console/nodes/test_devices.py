from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, insert, select

from byoi_console.accounts.audit import AuditLog
from byoi_console.errors import (
    EnrolmentRefused,
    Forbidden,
    GrantRefused,
    InputInvalid,
    NotFound,
    TooManyAttempts,
)
from byoi_console.nodes.device_flow.requests import (
    Approval,
    Approver,
    DeviceRequest,
    GrantRequest,
)
from byoi_console.nodes.devices import Devices
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.store.database import Database
from byoi_console.store.tables import audit_log, device_codes, node_keys, nodes, organisations


@pytest.fixture
def admin(org_id):
    return Approver("person_1", (org_id,))


@pytest.fixture
async def other_org(database):
    async with database.write() as connection:
        other = {"id": "org_other", "name": "other", "created_at_ms": 1}
        await connection.execute(insert(organisations).values(other))
    return "org_other"


async def count(database, table):
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def actions(database):
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log.c.action).order_by(audit_log.c.seq))
        return [row.action for row in rows]


def asking(whose, **changes):
    return DeviceRequest.model_validate(whose.request(**changes))


def polling(machine, begun, **changes):
    return GrantRequest.model_validate(machine.grant(begun.device_code, **changes))


async def enrol(devices, machine, admin, **approval):
    """The whole flow of one machine."""
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(**approval), admin)
    return await devices.poll(polling(machine, begun))


async def refusal(devices, machine, begun):
    with pytest.raises(GrantRefused) as refused:
        await devices.poll(polling(machine, begun))
    return refused.value.code


# The machine


async def test_a_machine_waits_is_approved_and_becomes_a_node(
    devices, device, admin, records, org_id, console_keys, database
):
    machine = device()
    begun = await devices.start(asking(machine), peer="192.0.2.7")
    assert begun.verification_uri == "http://127.0.0.1:8700/devices"
    assert begun.verification_uri_complete.endswith(f"?code={begun.user_code}")
    assert (begun.expires_in, begun.interval) == (900, 5)
    assert await refusal(devices, machine, begun) == "authorization_pending"
    approved = await devices.approve(
        begun.user_code, Approval(name="Box", visibility="community", mode="idle"), admin
    )
    assert (approved.org_id, approved.name, approved.take_over) == (org_id, "Box", None)
    enrolled = await devices.poll(polling(machine, begun))
    assert (enrolled.name, enrolled.organisation) == ("Box", "example.org")
    assert (enrolled.visibility, enrolled.mode) == ("community", "idle")
    assert enrolled.console_key == console_keys.public_key
    node = await records.get(enrolled.node_id)
    assert (node.org_id, node.machine, node.enrolled_by) == (org_id, "ab" * 32, "person_1")
    assert node.host["gpus"] == ["NVIDIA H200", "NVIDIA H200"]
    assert await actions(database) == ["device.approved", "node.enrolled"]


async def test_people_are_sent_where_browsers_reach_the_console(
    database, audit, console_keys, clock, device
):
    devices = Devices(
        database,
        audit,
        console_keys,
        lambda _: None,
        url="https://byoi.example",
        now_ms=clock.now_ms,
    )
    begun = await devices.start(asking(device()))
    assert begun.verification_uri == "https://byoi.example/devices"


async def test_a_lost_answer_is_given_again_to_the_same_key_until_the_code_ends(
    devices, device, admin, database, clock
):
    machine = device()
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(), admin)
    first = await devices.poll(polling(machine, begun))
    assert await devices.poll(polling(machine, begun)) == first
    assert await count(database, nodes) == 1
    clock.seconds += 900
    assert await refusal(devices, machine, begun) == "expired_token"


async def test_a_node_that_was_revoked_gets_no_answer_again(devices, device, admin, records):
    machine = device()
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(), admin)
    enrolled = await devices.poll(polling(machine, begun))
    await records.revoke(enrolled.node_id, "person_1")
    assert await refusal(devices, machine, begun) == "access_denied"


async def test_haste_is_slowed_down_and_patience_is_not(devices, device, clock):
    machine = device()
    begun = await devices.start(asking(machine))
    assert await refusal(devices, machine, begun) == "authorization_pending"
    clock.seconds += 5
    assert await refusal(devices, machine, begun) == "authorization_pending"
    clock.seconds += 2
    assert await refusal(devices, machine, begun) == "slow_down"
    clock.seconds += 9
    assert await refusal(devices, machine, begun) == "slow_down"
    clock.seconds += 15
    assert await refusal(devices, machine, begun) == "authorization_pending"


async def test_a_denied_machine_hears_so(devices, device, admin, database):
    machine = device()
    begun = await devices.start(asking(machine))
    await devices.deny(begun.user_code, admin)
    assert await refusal(devices, machine, begun) == "access_denied"
    assert await count(database, nodes) == 0
    assert await actions(database) == ["device.denied"]


async def test_a_code_that_nobody_approved_ends_and_is_cleaned_up(
    devices, device, admin, database, clock
):
    machine = device()
    begun = await devices.start(asking(machine))
    clock.seconds += 900
    assert await refusal(devices, machine, begun) == "expired_token"
    for decide in (devices.look, devices.deny):
        with pytest.raises(NotFound):
            await decide(begun.user_code, admin)
    with pytest.raises(NotFound):
        await devices.approve(begun.user_code, Approval(), admin)
    await devices.start(asking(device()))
    assert await count(database, device_codes) == 1
    assert await refusal(devices, machine, begun) == "invalid_grant"


@pytest.mark.parametrize(
    "change",
    [{"public_key": "AAAA"}, {"public_key": "no base64!"}, {"proof": ""}, {"proof": "QUJD"}],
    ids=str,
)
async def test_whoever_does_not_hold_the_key_gets_no_code(devices, device, change, database):
    with pytest.raises(EnrolmentRefused) as refused:
        await devices.start(asking(device(), **change))
    assert refused.value.code == "proof_invalid"
    assert await count(database, device_codes) == 0


async def test_a_code_is_of_no_use_to_another_key(devices, device, admin):
    machine, thief = device(), device()
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(), admin)
    assert await refusal(devices, thief, begun) == "invalid_grant"
    for change in ({"proof": thief.grant(begun.device_code)["proof"]}, {"public_key": "AA"}):
        with pytest.raises(GrantRefused) as refused:
            await devices.poll(polling(machine, begun, **change))
        assert refused.value.code == "invalid_grant"
    assert (await devices.poll(polling(machine, begun))).node_id


async def test_guessing_device_codes_is_slowed_per_address(devices, device):
    machine = device()
    for _ in range(20):
        with pytest.raises(GrantRefused):
            await devices.poll(
                GrantRequest.model_validate(machine.grant("byoi-device-guess")), peer="10.0.0.1"
            )
    with pytest.raises(TooManyAttempts):
        await devices.start(asking(machine), peer="10.0.0.1")
    await devices.start(asking(machine), peer="10.0.0.2")


async def test_a_key_that_is_a_node_s_already_begins_nothing(
    devices, device, admin, join_tokens, enrolment, org_id
):
    machine = device()
    await enrol(devices, machine, admin)
    with pytest.raises(EnrolmentRefused) as refused:
        await devices.start(asking(machine))
    assert refused.value.code == "key_known"
    # The same by a join token in between start and approval.
    late = device()
    begun = await devices.start(asking(late))
    await devices.approve(begun.user_code, Approval(), admin)
    token = (await join_tokens.create(org_id, "person_1")).token
    proof = late.grant(token)
    joining = {"join_token": token, "public_key": proof["public_key"], "proof": proof["proof"]}
    await enrolment.join(JoinRequest.model_validate(joining))
    assert await refusal(devices, late, begun) == "access_denied"


# The person


async def test_what_the_person_sees_is_what_the_machine_shows(devices, device, admin, clock):
    machine = device()
    begun = await devices.start(asking(machine), peer="192.0.2.7")
    typed = begun.user_code.lower().replace("-", " ")
    view = await devices.look(typed, admin)
    assert view.user_code == begun.user_code
    assert (view.name, view.os, view.address) == ("gpu-box", "Ubuntu 24.04", "192.0.2.7")
    assert view.gpus == ("NVIDIA H200", "NVIDIA H200")
    assert len(view.fingerprint.split("-")) == 4
    assert view.expires_at_ms == clock.now_ms() + 900_000
    assert view.previous == ()


async def test_a_stranger_s_texts_are_made_readable(devices, device, admin):
    host = {"name": "a\u202eb\x1b[31m\n", "gpus": ["x\x00y"], "os": "<script>"}
    begun = await devices.start(asking(device(), host=host))
    view = await devices.look(begun.user_code, admin)
    assert (view.name, view.gpus, view.os) == ("ab[31m", ("xy",), "<script>")


async def test_wrong_codes_are_slowed_per_person_and_per_address(devices, device, admin, clock):
    begun = await devices.start(asking(device()))
    for number in range(5):
        with pytest.raises(NotFound):
            await devices.look("BBBB-BBBB", admin, peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts) as first:
        await devices.look(begun.user_code, admin, peer="10.0.0.9")
    colleague = Approver("person_2", admin.organisations)
    for number in range(5):
        with pytest.raises(NotFound):
            await devices.look("???", Approver(f"key_{number}", ()), peer="10.1.0.1")
    with pytest.raises(TooManyAttempts):
        await devices.approve(begun.user_code, Approval(), colleague, peer="10.1.0.1")
    clock.seconds += first.value.retry_after_seconds
    with pytest.raises(NotFound):
        await devices.deny("BBBB-BBBB", admin)
    with pytest.raises(TooManyAttempts) as second:
        await devices.deny(begun.user_code, admin)
    assert second.value.retry_after_seconds > first.value.retry_after_seconds
    await devices.approve(begun.user_code, Approval(), colleague, peer="10.2.0.1")


async def test_a_code_decided_by_a_colleague_is_no_guess(devices, device, admin):
    for _ in range(7):
        begun = await devices.start(asking(device()))
        await devices.approve(begun.user_code, Approval(), admin)
        with pytest.raises(NotFound):
            await devices.look(begun.user_code, admin)


async def test_nobody_lets_a_machine_into_another_s_organisation(
    devices, device, admin, other_org, records
):
    machine = device()
    begun = await devices.start(asking(machine))
    with pytest.raises(Forbidden):
        await devices.approve(begun.user_code, Approval(organisation=other_org), admin)
    with pytest.raises(Forbidden):
        await devices.approve(begun.user_code, Approval(), Approver("person_9", ()))
    both = Approver("person_2", (*admin.organisations, other_org))
    approved = await devices.approve(begun.user_code, Approval(organisation=other_org), both)
    assert approved.org_id == other_org
    enrolled = await devices.poll(polling(machine, begun))
    assert (await records.get(enrolled.node_id)).org_id == other_org


# All at once


async def test_of_fifty_approvals_and_denials_at_once_exactly_one_counts(
    devices, device, admin, database, database_url, console_keys, clock, org_id
):
    """Half of them come through another process's connections to the same file."""
    other = Database(database_url)
    second = Devices(other, AuditLog(other), console_keys, lambda _: None, now_ms=clock.now_ms)
    begun = await devices.start(asking(device()))
    decided, late = [], []

    async def decide(number):
        house = (devices, second)[number % 2]
        try:
            if number % 3:
                who = Approver(f"person_{number}", (org_id,))
                decided.append(await house.approve(begun.user_code, Approval(), who))
            else:
                decided.append(await house.deny(begun.user_code, admin))
        except NotFound:
            late.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(decide(number))
    await other.close()
    assert (len(decided), len(late)) == (1, 49)
    assert len(await actions(database)) == 1


async def test_of_fifty_polls_at_once_one_makes_the_node_and_all_hear_the_same(
    devices, device, admin, database, database_url, console_keys, clock
):
    other = Database(database_url)
    second = Devices(other, AuditLog(other), console_keys, lambda _: None, now_ms=clock.now_ms)
    machine = device()
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(), admin)
    answers = []

    async def poll(number):
        answers.append(await (devices, second)[number % 2].poll(polling(machine, begun)))

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(poll(number))
    await other.close()
    assert len(answers) == 50
    assert len({answer.node_id for answer in answers}) == 1
    assert await count(database, nodes) == await count(database, node_keys) == 1
    assert (await actions(database)).count("node.enrolled") == 1


# The same machine again


async def test_what_is_chosen_at_a_take_over_counts(devices, device, admin):
    old = await enrol(devices, device(), admin, name="Old", mode="idle", visibility="community")
    chosen = {"name": "New", "mode": "dedicated", "visibility": "org", "take_over": old.node_id}
    new = await enrol(devices, device(), admin, **chosen)
    assert (new.node_id, new.name) == (old.node_id, "New")
    assert (new.mode, new.visibility) == ("dedicated", "org")


async def test_a_machine_that_was_made_anew_goes_on_as_its_old_node(
    devices, device, admin, records, disconnected, database, clock
):
    old = await enrol(devices, device(), admin, name="Old box", visibility="community")
    await records.begin_session(old.node_id, old.key_id)
    clock.seconds += 60
    machine = device()
    begun = await devices.start(asking(machine))
    (previous,) = (await devices.look(begun.user_code, admin)).previous
    assert (previous.node_id, previous.name) == (old.node_id, "Old box")
    assert previous.last_seen_at_ms is not None
    approved = await devices.approve(begun.user_code, Approval(take_over=old.node_id), admin)
    assert (approved.take_over, approved.name) == (old.node_id, "Old box")
    assert disconnected == [], "the old one serves until the new one is there"
    new = await devices.poll(polling(machine, begun))
    assert (new.node_id, new.name) == (old.node_id, "Old box")
    assert (new.visibility, new.mode) == ("community", "dedicated"), "as before, nothing was chosen"
    assert new.key_id != old.key_id
    assert disconnected == [old.node_id]
    assert (await records.key(old.key_id)).is_revoked
    assert not (await records.key(new.key_id)).is_revoked
    assert await records.begin_session(old.node_id, old.key_id) is None
    assert (await records.begin_session(old.node_id, new.key_id)).epoch == 2
    assert await count(database, nodes) == 1
    assert (await actions(database))[-1] == "node.taken_over"


async def test_an_old_node_is_shown_and_given_only_to_who_administers_it(
    devices, device, admin, other_org
):
    old = await enrol(devices, device(), admin)
    stranger = Approver("person_9", (other_org,))
    begun = await devices.start(asking(device()))
    assert (await devices.look(begun.user_code, stranger)).previous == ()
    with pytest.raises(InputInvalid):
        await devices.approve(begun.user_code, Approval(take_over=old.node_id), stranger)
    both = Approver("person_2", (*admin.organisations, other_org))
    moved = Approval(take_over=old.node_id, organisation=other_org)
    with pytest.raises(InputInvalid):
        await devices.approve(begun.user_code, moved, both)


async def test_only_the_same_machine_takes_a_node_over(devices, device, admin, records):
    old = await enrol(devices, device(), admin)
    for machine in ("cd" * 32, None):
        begun = await devices.start(asking(device(), machine=machine))
        assert (await devices.look(begun.user_code, admin)).previous == ()
        with pytest.raises(InputInvalid):
            await devices.approve(begun.user_code, Approval(take_over=old.node_id), admin)
    await records.revoke(old.node_id, "person_1")
    begun = await devices.start(asking(device()))
    assert (await devices.look(begun.user_code, admin)).previous == ()


async def test_a_node_that_is_gone_at_the_last_moment_is_not_taken_over(
    devices, device, admin, records, database
):
    old = await enrol(devices, device(), admin)
    machine = device()
    begun = await devices.start(asking(machine))
    await devices.approve(begun.user_code, Approval(take_over=old.node_id), admin)
    await records.delete(old.node_id, "person_1")
    assert await refusal(devices, machine, begun) == "access_denied"
    assert await count(database, nodes) == 1


async def test_a_join_token_takes_nothing_over(
    devices, device, admin, enrolment, join_tokens, org_id, records, machine
):
    old = await enrol(devices, device(), admin)
    token = (await join_tokens.create(org_id, "person_1")).token
    clone = JoinRequest.model_validate(machine(token, machine="ab" * 32))
    new = await enrolment.join(clone)
    assert new.node_id != old.node_id
    assert (await records.get(new.node_id)).machine == "ab" * 32
    assert not (await records.key(old.key_id)).is_revoked

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from byoi_console.errors import InputInvalid, NotFound
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.pins import Pins
from byoi_console.routing.registry import Registry
from byoi_console.store.tables import audit_log, pins
from byoi_wire import codec
from byoi_wire.messages import PinAnswer, PinAsk, PinEnd


class Desk:
    """The pins of one console, and what its nodes heard."""

    def __init__(self, database, audit):
        self.registry = Registry()
        self.sent = []
        self.is_linked = True
        self.pins = Pins(database, audit, self.registry, self.send, now_ms=lambda: 1000)

    def send(self, node_id, message):
        if self.is_linked:
            self.sent.append(message)
        return self.is_linked

    def say(self, node_id, state, pin_id=None):
        pin_id = pin_id or self.pins.of(node_id).pin_id
        self.pins.answered(
            node_id, PinAnswer(pin_id=pin_id, state=state, actor="uid 1000 (jo)\x07", at_ms=5)
        )

    def pinned_to(self, node_id):
        return self.registry._pinned.get(node_id)


@pytest.fixture
def desk(database, audit):
    return Desk(database, audit)


@pytest.fixture
async def node_id(enrolment, join_tokens, org_id, machine):
    new = await join_tokens.create(org_id, "person_1")
    return (await enrolment.join(JoinRequest.model_validate(machine(new.token)))).node_id


@pytest.fixture
def audited(database):
    async def read():
        async with database.read() as connection:
            rows = await connection.execute(select(audit_log).order_by(audit_log.c.seq))
            return [
                (row.action, row.actor, json.loads(row.details))
                for row in rows
                if "pin" in row.action
            ]

    return read


async def test_of_two_who_ask_in_the_same_moment_one_does(desk, node_id):
    asked = [desk.pins.ask(node_id, "", name, name) for name in ("ada", "bob")]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [each for each in found if each is True] == [True]
    assert isinstance(next(each for each in found if each is not True), InputInvalid)
    assert len(desk.sent) == 1


async def test_who_was_refused_may_ask_again_before_that_is_written_down(desk, node_id):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "refused")
    assert await desk.pins.ask(node_id, "please", "person_1", "ada")


async def test_nothing_is_dedicated_until_the_owner_says_so(desk, node_id, org_id, audited):
    assert await desk.pins.ask(node_id, " at night \n", "person_1", "ada@example.org")
    (ask,) = desk.sent
    assert isinstance(ask, PinAsk)
    assert (ask.org_id, ask.reason, ask.asked_by) == (org_id, "at night", "ada@example.org")
    assert desk.pinned_to(node_id) is None
    desk.say(node_id, "asked")
    assert desk.pinned_to(node_id) is None
    desk.say(node_id, "granted")
    assert desk.pinned_to(node_id) == org_id
    await desk.pins.write()
    asked, granted = await audited()
    assert asked[:2] == ("node.pin_asked", "person_1")
    assert granted[:2] == ("node.pin_granted", f"uid 1000 (jo) at {node_id}")
    assert (granted[2]["before"], granted[2]["after"], granted[2]["at_ms"]) == (
        "asked",
        "granted",
        1000,
    )


async def test_a_withdrawal_holds_at_once_and_is_written_with_who_and_when(
    desk, node_id, database, audited
):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "granted")
    desk.say(node_id, "withdrawn")
    assert desk.pinned_to(node_id) is None
    assert desk.pins.of(node_id).state == "withdrawn"
    await desk.pins.write()
    assert [row[0] for row in await audited()][1:] == ["node.pin_granted", "node.pin_withdrawn"]
    async with database.read() as connection:
        row = (await connection.execute(select(pins))).one()
    assert (row.state, row.answered_by, row.answered_at_ms) == ("withdrawn", "uid 1000 (jo)", 1000)


async def test_a_node_without_a_link_hears_at_its_next_one(desk, node_id):
    desk.is_linked = False
    assert not await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.is_linked = True
    desk.pins.linked(node_id)
    desk.pins.linked("node_other")
    (ask,) = desk.sent
    assert isinstance(ask, PinAsk)


async def test_what_ended_while_a_node_was_away_is_told_when_it_names_it(desk, node_id):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "granted")
    pin_id = desk.pins.of(node_id).pin_id
    desk.is_linked = False
    await desk.pins.end(node_id, "person_1")
    assert desk.pinned_to(node_id) is None
    desk.is_linked, desk.sent = True, []
    desk.pins.linked(node_id)
    assert desk.sent == []
    desk.say(node_id, "granted", pin_id)
    assert desk.sent == [PinEnd(pin_id=pin_id)]
    assert desk.pinned_to(node_id) is None


async def test_a_pin_that_nobody_asked_for_dedicates_nothing(desk, node_id):
    desk.say(node_id, "granted", "pin_invented")
    assert desk.sent == [PinEnd(pin_id="pin_invented")]
    assert desk.pinned_to(node_id) is None
    desk.say(node_id, "withdrawn", "pin_invented")
    assert len(desk.sent) == 1


async def test_another_node_cannot_answer(desk, node_id):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say("node_other", "granted", desk.pins.of(node_id).pin_id)
    assert desk.pinned_to(node_id) is None
    assert desk.pinned_to("node_other") is None


async def test_all_of_it_is_known_after_a_restart(desk, node_id, database, audit, org_id):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "granted")
    await desk.pins.write()
    later = Desk(database, audit)
    await later.pins.load()
    assert later.pinned_to(node_id) == org_id
    later.say(node_id, "withdrawn")
    await later.pins.write()
    last = Desk(database, audit)
    await last.pins.load()
    assert last.pinned_to(node_id) is None
    assert last.pins.of(node_id).state == "withdrawn"


async def test_a_node_that_forgot_its_consent_is_not_dedicated_any_more(desk, node_id):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "granted")
    desk.say(node_id, "asked")
    assert desk.pinned_to(node_id) is None
    assert desk.pins.of(node_id).is_open


async def test_an_answer_that_a_full_disk_refused_is_written_later(desk, node_id, monkeypatch):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    desk.say(node_id, "granted")
    with monkeypatch.context() as broken:

        async def refuse(*_):
            raise OperationalError("UPDATE", {}, Exception("full"))

        broken.setattr(desk.pins, "_set", refuse)
        with pytest.raises(OperationalError):
            await desk.pins.write()
    desk.say(node_id, "withdrawn")
    await desk.pins.write()
    (pin,) = await desk.pins._read()
    assert pin.state == "withdrawn"


async def test_the_same_again_is_no_news(desk, node_id, audited):
    await desk.pins.ask(node_id, "", "person_1", "ada")
    for _ in range(3):
        desk.say(node_id, "granted")
    await desk.pins.write()
    assert len(await audited()) == 2


async def test_who_asks_twice_and_who_ends_nothing_is_told(desk, node_id):
    with pytest.raises(NotFound):
        await desk.pins.end(node_id, "person_1")
    with pytest.raises(NotFound):
        await desk.pins.ask("node_none", "", "person_1", "ada")
    with pytest.raises(InputInvalid):
        await desk.pins.ask(node_id, "r" * 501, "person_1", "ada")
    await desk.pins.ask(node_id, "", "person_1", "ada")
    with pytest.raises(InputInvalid):
        await desk.pins.ask(node_id, "", "person_1", "ada")
    await desk.pins.end(node_id, "person_1")
    await desk.pins.ask(node_id, "", "person_1", "ada")


async def test_a_pin_goes_over_the_link_and_back(house, org_id):
    machine = await house.come_in()
    node_id = machine.enrolled.node_id
    await house.pins.ask(node_id, "why", "person_1", "ada")
    ask = codec.decode_control(await machine.next())
    assert ask.reason == "why"
    again = await house.come_in(as_known=(machine.enrolled, machine.key))
    assert codec.decode_control(await again.next()) == ask
    again.say(PinAnswer(pin_id=ask.pin_id, state="granted", actor="jo", at_ms=1))
    again.say(PinAnswer(pin_id="pin_old", state="granted", actor="jo", at_ms=1))
    assert codec.decode_control(await again.next()) == PinEnd(pin_id="pin_old")
    assert house.registry.facts(node_id).pinned_to == machine_org(house, node_id)


def machine_org(house, node_id):
    return house.registry.facts(node_id).org_id

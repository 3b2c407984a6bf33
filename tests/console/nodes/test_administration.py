from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_console.errors import NotFound
from byoi_console.nodes.administration import NodeAdministration
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.pins import Pins
from byoi_console.nodes.records import NodeChanges
from byoi_console.nodes.session import Sessions
from byoi_console.routing.registry import DRAINED, Registry
from byoi_wire.messages import Advertise, Availability, Status
from byoi_wire.offers import Host, ModelOffer


@pytest.fixture
async def enrolled(enrolment, join_tokens, org_id, machine):
    new = await join_tokens.create(org_id, "person_1")
    return await enrolment.join(JoinRequest.model_validate(machine(new.token)))


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def administration(build, registry):
    return build(registry)


@pytest.fixture
def build(database, audit, records):
    def administration_of(registry):
        sessions = Sessions(registry, 60)
        pins = Pins(database, audit, registry, sessions.send)
        return NodeAdministration(records, sessions, registry, pins)

    return administration_of


def come(registry, node_id, org_id):
    session = SimpleNamespace(connected=True)
    node = SimpleNamespace(node_id=node_id, org_id=org_id, session=session)
    offer = ModelOffer(id="m", engine="t", routes=())
    host = Host(os="linux", architecture="x")
    registry.add(node, Advertise(version=1, agent_version="t", host=host, models=(offer,), slots=1))
    return node


async def test_a_drained_node_gets_nothing_new_whatever_it_says_of_itself(
    administration, registry, enrolled, org_id
):
    node_id = enrolled.node_id
    node = come(registry, node_id, org_id)
    assert registry.candidates("m", org_id)
    await administration.drain(node_id, "person_1")
    for word in (True, False, True):
        registry.set_availability(node_id, Availability(serving=word, reason="own words"))
        registry.set_status(node_id, Status(running=0, waiting=0))
        assert registry.candidates("m", org_id) == []
        assert registry.models(org_id) == ()
        facts = registry.facts(node_id)
        assert (facts.is_serving, facts.is_drained, facts.reason) == (False, True, DRAINED)
    registry.remove(node_id, node)
    come(registry, node_id, org_id)
    assert registry.candidates("m", org_id) == []
    await administration.undrain(node_id, "person_1")
    assert registry.candidates("m", org_id)
    assert registry.facts(node_id).reason == ""


async def test_a_node_stays_drained_over_a_restart_of_the_console(
    administration, build, enrolled, org_id
):
    await administration.drain(enrolled.node_id, "person_1")
    registry = Registry()
    await build(registry).load()
    come(registry, enrolled.node_id, org_id)
    assert registry.facts(enrolled.node_id).is_drained
    await administration.undrain(enrolled.node_id, "person_1")
    later = Registry()
    await build(later).load()
    come(later, enrolled.node_id, org_id)
    assert not later.facts(enrolled.node_id).is_drained


async def test_after_a_restart_the_models_of_nodes_on_their_way_back_are_known(
    build, records, enrolled, org_id
):
    await records.offer({enrolled.node_id: ("m",)})
    await records.seen([enrolled.node_id])
    registry = Registry()
    await build(registry).load()
    assert registry.is_known("m", org_id)
    assert not registry.is_known("m", "org_other")
    assert registry.models(org_id) == ()


@pytest.mark.parametrize("end", ["revoke", "delete"])
async def test_nobody_waits_for_the_models_of_a_node_that_was_ended(
    administration, build, registry, records, enrolled, org_id, end
):
    node = come(registry, enrolled.node_id, org_id)
    registry.remove(enrolled.node_id, node)
    await records.offer({enrolled.node_id: ("m",)})
    await records.seen([enrolled.node_id])
    assert registry.is_known("m", org_id)
    await getattr(administration, end)(enrolled.node_id, "person_1")
    assert not registry.is_known("m", org_id)
    later = Registry()
    await build(later).load()
    assert not later.is_known("m", org_id)


async def test_a_node_that_is_undrained_still_does_as_its_owner_wishes(
    administration, registry, enrolled, org_id
):
    come(registry, enrolled.node_id, org_id)
    await administration.drain(enrolled.node_id, "person_1")
    registry.set_availability(enrolled.node_id, Availability(serving=False, reason="paused"))
    await administration.undrain(enrolled.node_id, "person_1")
    facts = registry.facts(enrolled.node_id)
    assert (facts.is_serving, facts.reason) == (False, "paused")


async def test_who_is_away_hears_the_order_to_rotate_later(administration, records, enrolled):
    assert await administration.order_rotation(enrolled.node_id, "person_1") is False
    assert (await records.get(enrolled.node_id)).rotation_ordered_at_ms is not None
    assert administration.address(enrolled.node_id) is None


async def test_what_is_not_there_cannot_be_administered(administration, enrolled):
    await administration.revoke(enrolled.node_id, "person_1")
    with pytest.raises(NotFound):
        await administration.order_rotation(enrolled.node_id, "person_1")
    await administration.delete(enrolled.node_id, "person_1")
    for do in (administration.drain, administration.undrain, administration.revoke):
        with pytest.raises(NotFound):
            await do(enrolled.node_id, "person_1")
    with pytest.raises(NotFound):
        await administration.change(enrolled.node_id, NodeChanges(name="x"), "person_1")

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from byoi_console.routing.recollection import GIVEN_UP_SECONDS
from byoi_console.routing.registry import SERVES, STOPS, Registry
from byoi_wire.messages import Advertise, Availability, Status
from byoi_wire.offers import Host, ModelOffer

AWAY = Availability(serving=False, reason="in use")


def live(node_id="node_1", org_id="org_1", connected=True):
    return SimpleNamespace(
        node_id=node_id, org_id=org_id, session=SimpleNamespace(connected=connected)
    )


def offers(*models, slots=4, queue=2):
    return Advertise(
        version=1,
        agent_version="0.1",
        host=Host(os="linux", architecture="x86_64"),
        models=tuple(ModelOffer(id=model, engine="e", routes=()) for model in models),
        slots=slots,
        queue=queue,
    )


@pytest.fixture
async def registry():
    return Registry()


async def test_a_node_is_a_candidate_for_what_it_offers_in_its_own_organisation(registry):
    registry.add(live(), offers("a", "b"))
    (candidate,) = registry.candidates("a", "org_1")
    assert (candidate.node_id, candidate.model.id, candidate.slots) == ("node_1", "a", 4)
    assert registry.candidates("a", "org_2") == []
    assert registry.candidates("c", "org_1") == []


async def test_models_are_named_once_and_in_order(registry):
    registry.add(live("node_1"), offers("b", "a"))
    registry.add(live("node_2"), offers("b", "c"))
    registry.add(live("node_3", "org_2"), offers("d"))
    assert [offer.id for offer in registry.models("org_1")] == ["a", "b", "c"]


async def test_a_node_that_does_not_serve_offers_nothing(registry):
    registry.add(live(), offers("a"))
    registry.set_availability("node_1", AWAY)
    assert registry.models("org_1") == ()
    assert registry.candidates("a", "org_1") == []
    assert registry.facts("node_1").reason == "in use"


async def test_a_later_advertisement_replaces_the_one_before(registry):
    registry.add(live(), offers("a"))
    registry.update("node_1", offers("b", slots=9))
    assert registry.candidates("a", "org_1") == []
    assert registry.candidates("b", "org_1")[0].slots == 9


async def test_news_of_a_node_that_has_gone_are_ignored(registry):
    registry.update("node_1", offers("a"))
    registry.set_availability("node_1", Availability(serving=True))
    registry.set_status("node_1", Status(running=1, waiting=0))
    assert registry.facts("node_1") is None
    assert registry.node("node_1") is None


async def test_an_old_session_s_end_does_not_take_away_its_successor(registry):
    old, new = live(), live()
    registry.add(old, offers("a"))
    registry.add(new, offers("a"))
    registry.remove("node_1", old)
    assert registry.node("node_1") is new
    registry.remove("node_1", new)
    assert registry.live() == ()


async def test_a_broken_link_shows_in_the_candidate(registry):
    node = live()
    registry.add(node, offers("a"))
    node.session.connected = False
    assert not registry.candidates("a", "org_1")[0].connected
    assert not registry.facts("node_1").connected


async def test_reservations_count_and_outlive_the_session(registry):
    node = live()
    registry.add(node, offers("a"))
    registry.reserve("node_1", "a")
    registry.reserve("node_1", "b")
    registry.remove("node_1", node)
    registry.release("node_1", "b")
    registry.add(live(), offers("a"))
    assert registry.candidates("a", "org_1")[0].in_flight == 1
    registry.release("node_1", "a")
    assert registry.facts("node_1").in_flight == 0


CHANGES = {
    "a new offer": lambda registry, node: registry.update(node.node_id, offers("b")),
    "serving no more": lambda registry, node: registry.set_availability(node.node_id, AWAY),
    "gone": lambda registry, node: registry.remove(node.node_id, node),
    "a place free": lambda registry, node: registry.release(node.node_id, "a"),
    "linked again": lambda registry, node: node and registry.changed(),
    "another node": lambda registry, node: node and registry.add(live("node_2"), offers("a")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_every_waiter_hears_of_a_change(registry, change):
    node = live()
    registry.add(node, offers("a"))
    registry.reserve("node_1", "a")
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(registry.wait_for_change())
        tasks.create_task(_later(lambda: change(registry, node)))


async def _later(call):
    call()


async def test_a_status_is_shown_and_wakes_nobody(registry):
    registry.add(live(), offers("a"))
    registry.set_status("node_1", Status(running=1, waiting=3))
    assert registry.facts("node_1").status.waiting == 3


def offer(name, **of):
    return ModelOffer(id=name, **{"engine": "e", "routes": (), **of})


def told(*models, slots=4):
    return offers(slots=slots).model_copy(update={"models": models})


async def test_requests_are_counted_for_each_engine_where_the_node_tells_them_apart(registry):
    models = (
        offer("a", slots=2),
        offer("a-pirate", slots=2, base="a"),
        offer("b", slots=3, is_loaded=False),
        offer("old"),
    )
    registry.add(live(), told(*models))
    registry.reserve("node_1", "a")
    registry.reserve("node_1", "a")
    registry.reserve("node_1", "b")

    def seen(model):
        (candidate,) = registry.candidates(model, "org_1")
        return candidate.in_flight, candidate.slots, candidate.group

    assert seen("a") == seen("a-pirate") == (2, 2, "a")
    assert seen("b") == (1, 3, "b")
    assert seen("old") == (3, 4, "old")
    assert registry.facts("node_1").in_flight == 3


async def test_a_model_is_described_by_a_node_that_has_it_loaded(registry):
    registry.add(live("node_1"), told(offer("a", is_loaded=False, context_tokens=1)))
    registry.add(live("node_2"), told(offer("a", context_tokens=2)))
    registry.add(live("node_3"), told(offer("a", is_loaded=False, context_tokens=3)))
    assert [each.context_tokens for each in registry.models("org_1")] == [2]


async def test_who_has_a_model_and_is_away_is_told_apart_from_who_has_it_not(registry):
    registry.add(live(), offers("a"), AWAY)
    assert registry.candidates("a", "org_1") == []
    assert registry.away("a", "org_1") == [AWAY]
    assert registry.away("b", "org_1") == []
    assert registry.away("a", "org_2") == []
    registry.set_availability("node_1", SERVES)
    assert registry.away("a", "org_1") == []
    assert registry.candidates("a", "org_1")


async def test_a_node_at_rest_that_offers_nothing_may_have_what_it_had(registry):
    registry.add(live(), offers("a"), AWAY)
    registry.update("node_1", offers())
    assert registry.away("a", "org_1") == [AWAY]
    assert registry.away("b", "org_1") == []
    registry.add(live(), offers(), AWAY)
    assert registry.away("b", "org_1") == [AWAY]


async def test_where_a_model_may_be_asked_for_is_known_of_nodes_that_rest_too(registry):
    registry.add(live("node_1"), told(offer("a", routes=("/chat",))))
    assert registry.may_answer("a", "org_1", "/chat")
    assert not registry.may_answer("a", "org_1", "/embed")
    assert not registry.may_answer("a", "org_2", "/chat")
    registry.add(live("node_2"), told(offer("a", routes=("/chat", "/embed"))), AWAY)
    assert registry.may_answer("a", "org_1", "/embed")
    registry.update("node_2", told())
    assert registry.may_answer("a", "org_1", "/embed")
    registry.update("node_2", told(offer("a", routes=("/chat",))))
    assert not registry.may_answer("a", "org_1", "/embed")


async def test_where_a_node_that_is_not_here_would_answer_nobody_knows(registry):
    registry.add(live("node_1"), told(offer("a", routes=("/chat",))))
    registry.recall("node_2", "org_1", ["a"])
    assert registry.may_answer("a", "org_1", "/embed")
    registry.set_pinned("node_2", "org_2")
    assert not registry.may_answer("a", "org_1", "/embed")
    registry.set_pinned("node_2", None)
    registry.add(live("node_2"), told())  # back, and still starting its engine
    assert registry.may_answer("a", "org_1", "/embed")
    registry.forget("node_2")
    registry.update("node_2", told(offer("b")))
    assert not registry.may_answer("a", "org_1", "/embed")
    registry.add(live("node_3"), told())
    assert not registry.may_answer("a", "org_1", "/embed")
    registry.set_availability("node_3", AWAY)
    assert registry.may_answer("a", "org_1", "/embed")


async def test_a_node_that_is_about_to_leave_is_not_away(registry):
    registry.add(live(), offers("a"))
    assert not registry.is_away("node_1")
    registry.set_availability("node_1", STOPS)
    assert not registry.is_away("node_1")
    registry.set_availability("node_1", AWAY)
    assert registry.is_away("node_1")
    assert not registry.is_away("node_2")


async def test_a_drained_node_is_away_whatever_it_says(registry):
    registry.add(live(), offers("a"))
    registry.set_drained("node_1", True)
    assert registry.is_away("node_1")
    assert registry.away("a", "org_1") == [SERVES]


async def test_a_pinned_node_serves_its_organisation_only(registry):
    registry.add(live(), offers("a"))
    registry.set_pinned("node_1", "org_1")
    assert registry.candidates("a", "org_1")
    assert registry.facts("node_1").pinned_to == "org_1"
    registry.set_pinned("node_1", "org_2")
    assert registry.candidates("a", "org_1") == []
    assert registry.models("org_1") == ()
    assert registry.away("a", "org_1") == []
    registry.set_pinned("node_1", None)
    assert registry.candidates("a", "org_1")
    assert registry.facts("node_1").pinned_to is None


async def test_what_a_node_had_is_known_until_it_is_no_node_any_more(registry):
    node = live()
    registry.add(node, offers("a"))
    registry.update("node_1", offers("b"))
    registry.update("node_unknown", offers("c"))
    registry.remove("node_1", node)
    for model in ("a", "b"):
        assert registry.is_known(model, "org_1")
        assert not registry.is_known(model, "org_2")
    assert not registry.is_known("c", "org_1")
    registry.forget("node_1")
    assert not registry.is_known("a", "org_1")


async def test_what_a_node_serves_without_for_more_than_a_day_nobody_waits_for():
    now = [0.0]
    registry = Registry(lambda: now[0])
    registry.add(live(), offers("a", "b"))
    registry.update("node_1", offers("a"))
    now[0] = GIVEN_UP_SECONDS - 1
    assert registry.is_known("b", "org_1")
    registry.set_availability("node_1", AWAY)
    registry.update("node_1", offers())
    now[0] += GIVEN_UP_SECONDS
    assert registry.is_known("a", "org_1")
    assert registry.is_known("b", "org_1")
    registry.set_availability("node_1", SERVES)
    registry.update("node_1", offers("a"))
    now[0] += GIVEN_UP_SECONDS
    assert registry.is_known("a", "org_1")
    assert not registry.is_known("b", "org_1")
    registry.set_availability("node_unknown", SERVES)


async def test_a_node_that_hands_back_again_and_again_is_known_for_it_beyond_its_session():
    now = [0.0]
    registry, node = Registry(lambda: now[0]), live()
    registry.add(node, offers("a"))

    def share():
        (candidate,) = registry.candidates("a", "org_1")
        assert registry.facts("node_1").restless == candidate.restless
        return candidate.restless

    registry.handed_back("node_1")
    assert share() == 0.0
    now[0] = 60.0
    registry.handed_back("node_1")
    registry.remove("node_1", node)
    registry.add(live(), offers("a"))
    assert 0.2 < share() <= 0.25
    registry.forget("node_1")
    assert share() == 0.0

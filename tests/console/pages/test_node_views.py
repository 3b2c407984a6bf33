from __future__ import annotations

import pytest

from byoi_console.nodes.records import NodeRecord
from byoi_console.pages.node_views import DeviceView, state_of, view_of
from byoi_console.routing.registry import LiveFacts
from byoi_wire.ids import ModelId, NodeId, OrgId
from byoi_wire.messages import Advertise, Status
from byoi_wire.offers import Device, Host, Measured, ModelOffer, Prices
from byoi_wire.version import LEASE_SECONDS

NOW_MS = 1_000_000_000


def a_record(**changes):
    known = {
        "node_id": NodeId("node_1"),
        "org_id": OrgId("org_1"),
        "name": "workstation",
        "host": {},
        "created_at_ms": 1,
        "last_seen_at_ms": NOW_MS - 1000,
        "has_departed": False,
        "revoked_at_ms": None,
        "epoch": 1,
    }
    return NodeRecord(**{**known, **changes})


def some_facts(**changes):
    offered = Advertise(
        version=1,
        agent_version="byoi/1",
        host=Host(os="Linux", architecture="x86_64"),
        devices=tuple(
            Device(index=at, kind="nvidia", name="H200", memory_total_bytes=100) for at in range(2)
        ),
        models=(ModelOffer(id=ModelId("m"), engine="vllm", routes=(), context_tokens=4096),),
        slots=4,
    )
    known = {
        "node_id": NodeId("node_1"),
        "org_id": OrgId("org_1"),
        "connected": True,
        "is_serving": True,
        "reason": "",
        "advertise": offered,
        "status": None,
        "in_flight": 1,
    }
    return LiveFacts(**{**known, **changes})


def seen(seconds_ago, **changes):
    return a_record(last_seen_at_ms=NOW_MS - int(seconds_ago * 1000), **changes)


@pytest.mark.parametrize(
    ("record", "facts", "state"),
    [
        (a_record(), some_facts(), "online"),
        (a_record(), some_facts(connected=False), "reconnecting"),
        (seen(LEASE_SECONDS + 1), some_facts(connected=False), "unknown"),
        (seen(1), None, "reconnecting"),
        (seen(LEASE_SECONDS + 1), None, "unknown"),
        (seen(1, has_departed=True), None, "offline"),
        (a_record(last_seen_at_ms=None), None, "offline"),
        (a_record(revoked_at_ms=5), some_facts(), "revoked"),
    ],
)
def test_a_node_s_state_is_one_word(record, facts, state):
    assert state_of(record, facts, NOW_MS) == state
    assert view_of(record, facts, 0.0, NOW_MS).explanation.endswith(".")


def test_equal_devices_stand_in_one_line_with_their_memory_together():
    facts = some_facts(status=Status(running=0, waiting=3, memory_used_bytes=(10, 20)))
    view = view_of(a_record(), facts, 0.0, NOW_MS)
    assert view.devices == (DeviceView("H200", 2, 200, 30, None),)
    assert view.waiting == 3


@pytest.mark.parametrize("told", [(), (10,), (10, None)])
def test_memory_in_use_that_is_not_known_whole_is_not_known(told):
    facts = some_facts(status=Status(running=0, waiting=0, memory_used_bytes=told))
    assert view_of(a_record(), facts, 0.0, NOW_MS).devices[0].memory_used_bytes is None


def test_what_a_live_node_offers_and_does_is_shown():
    view = view_of(a_record(), some_facts(), 12.345, NOW_MS)
    assert (view.in_flight, view.slots, view.load_percent) == (1, 4, 25)
    assert [(m.id, m.engine, m.context_tokens) for m in view.models] == [("m", "vllm", 4096)]
    assert view.tokens_per_second == 12.3
    assert view.is_live


def test_nothing_is_shown_of_a_node_that_is_away_but_its_record():
    view = view_of(seen(500), None, 0.0, NOW_MS)
    assert not view.is_live
    assert (view.devices, view.models, view.slots, view.load_percent) == ((), (), 0, 0)


def test_load_beyond_the_places_is_a_full_bar():
    assert view_of(a_record(), some_facts(in_flight=9), 0.0, NOW_MS).load_percent == 100


@pytest.mark.parametrize(
    ("record", "facts", "note"),
    [
        (a_record(), some_facts(), ""),
        (a_record(), None, ""),
        (a_record(), some_facts(is_serving=False), "takes no requests"),
        (a_record(), some_facts(is_serving=False, reason="a game"), "takes no requests: a game"),
        (a_record(drained_at_ms=1), some_facts(is_serving=False, reason="drained"), ""),
    ],
)
def test_why_a_node_takes_no_requests_is_told_in_its_owner_s_words(record, facts, note):
    view = view_of(record, facts, 0.0, NOW_MS)
    assert view.note == note
    assert view.is_drained == (record.drained_at_ms is not None)


def test_a_quiet_node_looks_the_same_for_a_minute():
    online = [view_of(a_record(), some_facts(), 0.0, NOW_MS + ms) for ms in (0, 1, 90_000)]
    assert online[0] == online[1] == online[2]
    record = a_record(last_seen_at_ms=NOW_MS, has_departed=True)
    at = {ms: view_of(record, None, 0.0, NOW_MS + ms) for ms in (0, 59_999, 60_000, -5000)}
    assert at[0] == at[59_999] == at[-5000]
    assert at[0] != at[60_000]
    assert at[60_000].minutes_away == 1
    assert view_of(a_record(last_seen_at_ms=None), None, 0.0, NOW_MS).minutes_away is None


def test_power_and_heat_are_those_that_the_node_told_last():
    devices = tuple(
        Device(index=at, kind="nvidia", name="H200", power_limit_watts=700) for at in range(2)
    )
    facts = some_facts(
        advertise=some_facts().advertise.model_copy(update={"devices": devices}),
        status=Status(
            running=0,
            waiting=0,
            power_watts=(100.4, 200.4),
            temperatures_celsius=(41.2, 55.6),
        ),
    )
    (device,) = view_of(a_record(), facts, 0.0, NOW_MS).devices
    assert (device.power_watts, device.power_limit_watts, device.celsius) == (301, 1400, 56)
    unknown = facts.status.model_copy(
        update={"power_watts": (100.4, None), "temperatures_celsius": ()}
    )
    (device,) = view_of(a_record(), some_facts(status=unknown), 0.0, NOW_MS).devices
    assert (device.power_watts, device.power_limit_watts, device.celsius) == (None, None, None)


def test_a_model_is_shown_with_all_that_is_known_of_it():
    measured = Measured(
        at_ms=1,
        engine="vllm 1",
        first_token_ms=80,
        decode_tokens_per_second=95,
        knee_concurrency=16,
        knee_tokens_per_second=1100,
    )
    prices = Prices(currency="EUR", input=0.1, output=0.4)
    offer = ModelOffer(
        id="pirate",
        engine="vllm",
        routes=(),
        is_loaded=False,
        load_seconds=9.0,
        base="m",
        prices=prices,
        measured=measured,
    )
    facts = some_facts(advertise=some_facts().advertise.model_copy(update={"models": (offer,)}))
    (model,) = view_of(a_record(), facts, 0.0, NOW_MS).models
    assert (model.is_loaded, model.load_seconds, model.base) == (False, 9.0, "m")
    assert (model.prices, model.measured) == (prices, measured)


def test_a_node_whose_owner_comes_back_again_and_again_is_told_apart():
    assert view_of(a_record(), some_facts(restless=0.1), 0.0, NOW_MS).is_restless
    assert not view_of(a_record(), some_facts(), 0.0, NOW_MS).is_restless
    assert not view_of(a_record(), None, 0.0, NOW_MS).is_restless

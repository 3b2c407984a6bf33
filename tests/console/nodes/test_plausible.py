from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.nodes.plausible import plausible_availability, plausible_offer, plausible_status
from byoi_wire.messages import Advertise, Availability, Status
from byoi_wire.offers import Device, Host, Measured, ModelOffer, Prices

HUGE = sys.float_info.max
MEASURED = Measured(
    at_ms=1_800_000_000_000,
    engine="vllm 0.32.0",
    first_token_ms=80,
    decode_tokens_per_second=95,
    knee_concurrency=16,
    knee_tokens_per_second=1100,
    flops=2e15,
)
MODEL = ModelOffer(
    id="m",
    engine="vllm",
    routes=("/v1/chat/completions",),
    context_tokens=4096,
    created_at=7,
    is_loaded=False,
    load_seconds=12.5,
    slots=4,
    base="b",
    prices=Prices(currency="EUR", input=0.1, output=0.4),
    measured=MEASURED,
)
DEVICE = Device(
    index=0, kind="nvidia", name="H200", memory_total_bytes=2**37, power_limit_watts=700
)


def told(**changes):
    offer = Advertise(
        version=1,
        agent_version="1",
        host=Host(os="linux", architecture="x", cpu_cores=2, in_container=True),
        devices=(DEVICE,),
        models=(MODEL,),
        slots=4,
    )
    return offer.model_copy(update=changes)


def model(**changes):
    (kept,) = plausible_offer(told(models=(MODEL.model_copy(update=changes),))).models
    return kept


def test_what_an_honest_node_says_stays_as_it_is():
    assert plausible_offer(told()) == told()
    status = Status(
        running=1,
        waiting=2,
        memory_used_bytes=(1, None),
        temperatures_celsius=(40.5, None),
        power_watts=(300.0, None),
    )
    assert plausible_status(status) == status


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "a\x00b", "\u202eevil"])
def test_names_that_cannot_be_booked_or_shown_are_left_out(name):
    assert plausible_offer(told(models=(MODEL.model_copy(update={"id": name}),))).models == ()
    assert model(base=name).base is None


def test_long_names_that_can_be_booked_stay_whole():
    assert model(id="x" * 256).id == "x" * 256


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"context_tokens": 10**400}, {"context_tokens": None}),
        ({"context_tokens": -1}, {"context_tokens": None}),
        ({"created_at": -(10**30)}, {"created_at": 0}),
        ({"load_seconds": HUGE}, {"load_seconds": 86_400.0}),
        ({"load_seconds": None}, {"load_seconds": None}),
        ({"engine": "e" * 9000}, {"engine": "e" * 200}),
        ({"prices": Prices(currency="EUR", input=HUGE, output=0)}, {"prices": None}),
        ({"prices": Prices(currency="EUR", input=0, output=0, cached=HUGE)}, {"prices": None}),
        ({"measured": MEASURED.model_copy(update={"at_ms": 2**53})}, {"measured": None}),
        ({"measured": MEASURED.model_copy(update={"flops": HUGE})}, {"measured": None}),
        ({"measured": MEASURED.model_copy(update={"knee_concurrency": 2**60})}, {"measured": None}),
        ({"prices": None, "measured": None, "base": None}, {"prices": None, "base": None}),
    ],
)
def test_numbers_that_no_machine_has_are_left_out(changes, kept):
    assert model(**changes) == MODEL.model_copy(update={**changes, **kept})


def test_devices_and_host_within_reason():
    broken = DEVICE.model_copy(update={"index": 10**30})
    large = DEVICE.model_copy(
        update={"name": "n" * 999, "memory_total_bytes": 10**30, "power_limit_watts": HUGE}
    )
    host = Host(os="o" * 999, architecture="x", memory_total_bytes=-5)
    offer = plausible_offer(told(devices=(broken, large), host=host, agent_version="v" * 999))
    (device,) = offer.devices
    assert device.name == "n" * 200
    assert (device.memory_total_bytes, device.power_limit_watts) == (None, None)
    assert (offer.host.os, offer.host.memory_total_bytes) == ("o" * 200, None)
    assert offer.agent_version == "v" * 200


def test_readings_that_cannot_be_are_none_at_their_devices_places():
    status = plausible_status(
        Status(
            running=0,
            waiting=0,
            memory_used_bytes=(10**400, 5, *([1] * 5000)),
            temperatures_celsius=(HUGE, -300.0, 50.0),
            power_watts=(-1.0, HUGE, 250.0),
        )
    )
    assert status.memory_used_bytes[:2] == (None, 5)
    assert len(status.memory_used_bytes) == 1024
    assert status.temperatures_celsius == (None, None, 50.0)
    assert status.power_watts == (None, None, 250.0)


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_whatever_is_said_can_be_said_again(number, real, text):
    device = DEVICE.model_copy(
        update={"memory_total_bytes": number, "power_limit_watts": real, "name": text}
    )
    offered = MODEL.model_copy(update={"context_tokens": number, "id": text, "base": text})
    offer = plausible_offer(told(devices=(device,), models=(offered,)))
    assert Advertise.model_validate_json(offer.model_dump_json()) == offer
    assert plausible_offer(offer) == offer


def test_what_a_node_says_of_its_owner_s_wish_has_room_on_every_page():
    said = Availability(serving=False, reason="r" * 999, code="c" * 999, until_ms=2**52)
    held = plausible_availability(said)
    assert (len(held.reason), len(held.code), held.until_ms) == (200, 200, None)
    soon = Availability(serving=True, mode="idle", until_ms=1_700_000_000_000)
    assert plausible_availability(soon) == soon

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.plausible import plausible_offer, plausible_status
from byoi_console.nodes.records import NodeChanges
from byoi_console.pages.node_page import ACTIONS
from byoi_console.store.tables import nodes
from byoi_wire.messages import Advertise, Availability, Status
from byoi_wire.offers import Device, Host, Measured, ModelOffer, Prices


@pytest.fixture
async def node_id(enrolment, join_tokens, machine, person):
    new = await join_tokens.create(person.org_id, "test")
    return (await enrolment.join(JoinRequest.model_validate(machine(new.token)))).node_id


async def test_all_that_is_known_of_a_node_is_on_its_page(browser, node_id, records):
    key = (await records.keys([node_id]))[node_id][0]
    answer = await browser.get(f"/nodes/{node_id}")
    assert answer.status == 200
    for part in (node_id, key.fingerprint, "not used yet", "a join token", "offline"):
        assert part in answer.text


async def test_what_was_chosen_and_is_not_done_yet_is_said(browser, node_id, records):
    page = await browser.get(f"/nodes/{node_id}")
    assert "does not" not in page.text
    assert "always" in page.text
    await records.change(node_id, NodeChanges(visibility="community", mode="idle"), "person_1")
    page = await browser.get(f"/nodes/{node_id}")
    assert "its organisation only" in page.text
    assert "the community is chosen, which this version does not serve yet" in page.text
    assert "while nobody uses it" in page.text


async def test_a_node_of_others_is_not_there(browser, node_id, other_org, database):
    async with database.write() as connection:
        await connection.execute(update(nodes).values(org_id=other_org))
    for path in ("", "/drain", "/revoke"):
        assert (await browser.get(f"/nodes/{node_id}{path}")).status == 404
    for action in (*ACTIONS, "undrain", "rename"):
        assert (await browser.post(f"/nodes/{node_id}/{action}", {"name": "x"})).status == 404


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_is_asked_for_before_it_is_done(browser, node_id, records, action):
    before = await records.get(node_id)
    answer = await browser.get(f"/nodes/{node_id}/{action}")
    assert ACTIONS[action].title in answer.text
    assert await records.get(node_id) == before


async def test_draining_and_serving_again(browser, node_id, records, rooms):
    answer = await browser.post(f"/nodes/{node_id}/drain")
    assert answer.location == f"/nodes/{node_id}?done=drain"
    assert (await records.get(node_id)).drained_at_ms is not None
    page = (await browser.get(answer.location)).text
    assert "no new requests go there" in page
    assert "Let it serve again" in page
    await browser.post(f"/nodes/{node_id}/undrain")
    assert (await records.get(node_id)).drained_at_ms is None


async def test_a_new_key_is_ordered(browser, node_id, records):
    answer = await browser.post(f"/nodes/{node_id}/rotate-key")
    assert (await records.get(node_id)).rotation_ordered_at_ms is not None
    assert "A new one was ordered" in (await browser.get(answer.location)).text


async def test_a_revoked_node_has_no_more_to_order_but_to_be_deleted(browser, node_id, records):
    answer = await browser.post(f"/nodes/{node_id}/revoke")
    page = (await browser.get(answer.location)).text
    assert (await records.get(node_id)).is_revoked
    assert "Drain…" not in page
    assert "Delete…" in page
    answer = await browser.post(f"/nodes/{node_id}/delete")
    assert answer.location == "/nodes?done=deleted"
    assert "is deleted" in (await browser.get(answer.location)).text
    assert (await browser.get(f"/nodes/{node_id}")).status == 404


async def test_a_new_name_is_only_text(browser, node_id, records):
    await browser.post(f"/nodes/{node_id}/rename", {"name": " <i>desk</i>\x07\n "})
    assert (await records.get(node_id)).name == "<i>desk</i>"
    for page in (f"/nodes/{node_id}", "/nodes"):
        text = (await browser.get(page)).text
        assert "<i>desk" not in text
        assert "&lt;i&gt;desk" in text


@pytest.mark.parametrize("name", ["", "  \n", "n" * 201])
async def test_no_name_and_too_long_a_name_are_told(browser, node_id, records, name):
    before = await records.get(node_id)
    answer = await browser.post(f"/nodes/{node_id}/rename", {"name": name})
    assert answer.status == 400
    assert "1 to 200 characters" in answer.text
    assert await records.get(node_id) == before


async def test_what_cannot_be_done_is_not_there(browser, node_id):
    assert (await browser.get(f"/nodes/{node_id}/explode")).status == 404
    assert (await browser.post(f"/nodes/{node_id}/explode")).status == 404
    assert (await browser.get(f"/nodes/{node_id}/undrain")).status == 404


async def test_a_foreign_page_can_order_nothing(browser, node_id, records):
    before = await records.get(node_id)
    for action in (*ACTIONS, "undrain", "rename"):
        answer = await browser.post(f"/nodes/{node_id}/{action}", {"name": "x"}, csrf="other")
        assert answer.status == 403
    assert await records.get(node_id) == before


async def test_a_stranger_is_led_to_the_door(stranger, node_id):
    assert (await stranger.get(f"/nodes/{node_id}")).location.startswith("/sign-in?next=")


def offer_of(**model):
    host = Host(os="linux", architecture="x86_64")
    device = Device(index=0, kind="nvidia", name="H200", memory_total_bytes=2**37)
    models = (
        ModelOffer(id="m", engine="vllm", routes=(), context_tokens=4096),
        ModelOffer(id="pirate", engine="vllm", routes=(), base="m", **model),
    )
    return Advertise(
        version=1, agent_version="1", host=host, devices=(device,), models=models, slots=4
    )


MEASURED = Measured(
    at_ms=1_700_000_000_000,
    engine="vllm 0.32.0",
    first_token_ms=80.4,
    decode_tokens_per_second=95.25,
    knee_concurrency=16,
    knee_tokens_per_second=1100,
    joules_per_token=0.4,
)


async def test_a_live_nodes_page_shows_its_power_and_what_its_models_can_do(
    browser, node_id, rooms, person
):
    live = SimpleNamespace(
        node_id=node_id, org_id=person.org_id, session=SimpleNamespace(connected=True)
    )
    prices = Prices(currency="EUR", input=0.1, output=0.4, cached=0.05)
    told = offer_of(is_loaded=False, load_seconds=12.5, prices=prices, measured=MEASURED)
    rooms.registry.add(live, told)
    status = Status(running=0, waiting=0, power_watts=(412.4,), temperatures_celsius=(55.0,))
    rooms.registry.set_status(node_id, status)
    page = (await browser.get(f"/nodes/{node_id}")).text
    for part in (
        "412 W, 55 °C",
        "adapter of m",
        "not loaded",
        "which takes about 12 s",
        "95.2 tokens a second for one request, its first after 80 ms",
        "1,100 for 16 at once; 0.4 J a token",
        "0.1 EUR for a million tokens in (0.05 of them cached), 0.4 out",
    ):
        assert part in " ".join(page.split()), part


async def test_no_number_and_no_text_of_a_node_breaks_its_page(browser, node_id, rooms, person):
    live = SimpleNamespace(
        node_id=node_id, org_id=person.org_id, session=SimpleNamespace(connected=True)
    )
    huge = sys.float_info.max
    measured = MEASURED.model_copy(update={"knee_tokens_per_second": 1e18, "first_token_ms": 0.0})
    told = offer_of(
        is_loaded=False,
        load_seconds=huge,
        context_tokens=10**400,
        measured=measured,
        features=("<script>",),
        prices=Prices(currency="EUR", input=1e9, output=0),
    )
    device = told.devices[0].model_copy(
        update={"memory_total_bytes": 10**400, "name": "<script>" * 999}
    )
    told = told.model_copy(update={"devices": (device,) * 30})
    rooms.registry.add(live, plausible_offer(told))
    status = Status(running=0, waiting=2**53, power_watts=(huge,) * 30, memory_used_bytes=(-1,))
    rooms.registry.set_status(node_id, plausible_status(status))
    for page in (f"/nodes/{node_id}", "/nodes", "/"):
        answer = await browser.get(page)
        assert answer.status == 200
        assert "<script><script>" not in answer.text


async def test_a_node_is_asked_for_and_the_wish_taken_back(browser, node_id, rooms):
    assert "owner of the machine reads this" in (await browser.get(f"/nodes/{node_id}/pin")).text
    answer = await browser.post(f"/nodes/{node_id}/pin", {"reason": " for <b>us</b>\n"})
    pin = rooms.administration.pin_of(node_id)
    assert (pin.state, pin.reason) == ("asked", "for <b>us</b>")
    assert "@" in pin.asked_by
    page = (await browser.get(answer.location)).text
    assert "Its owner is asked" in page
    assert 'data-pin="asked"' in page
    assert "Take the wish back" in page
    await browser.post(f"/nodes/{node_id}/unpin")
    assert rooms.administration.pin_of(node_id).state == "ended"
    again = await browser.post(f"/nodes/{node_id}/unpin")
    assert again.location == f"/nodes/{node_id}?done=unpin"
    page = (await browser.get(f"/nodes/{node_id}")).text
    assert 'data-pin="ended"' in page
    assert "Dedicate…" in page


async def test_a_second_wish_and_too_long_a_reason_are_told(browser, node_id, rooms):
    answer = await browser.post(f"/nodes/{node_id}/pin", {"reason": "r" * 501})
    assert (answer.status, rooms.administration.pin_of(node_id)) == (400, None)
    await browser.post(f"/nodes/{node_id}/pin", {"reason": ""})
    answer = await browser.post(f"/nodes/{node_id}/pin", {"reason": ""})
    assert answer.status == 400
    assert "asked for already" in answer.text


async def test_what_its_owner_says_of_serving_is_shown_with_its_end(
    browser, node_id, rooms, person
):
    node = SimpleNamespace(
        node_id=node_id, org_id=person.org_id, session=SimpleNamespace(connected=True)
    )
    offered = Advertise(
        version=1, agent_version="1", host=Host(os="linux", architecture="x"), slots=1
    )
    paused = Availability(
        serving=False,
        reason="paused by its owner",
        code="paused",
        mode="idle",
        is_paused=True,
        until_ms=1_900_000_000_000,
    )
    rooms.registry.add(node, offered, paused)
    for path in (f"/nodes/{node_id}", "/nodes", "/"):
        page = (await browser.get(path)).text
        assert "paused" in page
        assert "2030-03-17" in page
    assert "while nobody uses it" in (await browser.get(f"/nodes/{node_id}")).text
    rooms.registry.set_availability(node_id, Availability(serving=True, mode="idle"))
    assert "paused" not in (await browser.get("/nodes")).text


async def test_why_a_node_is_asked_after_its_equals_is_told(browser, node_id, rooms, person, clock):
    node = SimpleNamespace(
        node_id=node_id, org_id=person.org_id, session=SimpleNamespace(connected=True)
    )
    rooms.registry.add(node, offer_of())
    told = "Its owner came back to answers again and again lately"
    rooms.registry.handed_back(node_id)
    assert told not in (await browser.get(f"/nodes/{node_id}")).text
    clock.seconds += 60.0
    rooms.registry.handed_back(node_id)
    assert told in (await browser.get(f"/nodes/{node_id}")).text

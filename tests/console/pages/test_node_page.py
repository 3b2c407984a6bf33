from __future__ import annotations

import pytest
from sqlalchemy import update

from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.records import NodeChanges
from byoi_console.pages.node_page import ACTIONS
from byoi_console.store.tables import nodes


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
    await records.change(node_id, NodeChanges(visibility="community", mode="idle"), "person_1")
    page = await browser.get(f"/nodes/{node_id}")
    assert "its organisation only" in page.text
    assert "the community is chosen, which this version does not serve yet" in page.text
    assert "while nobody uses it is chosen, which this version does not heed yet" in page.text


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

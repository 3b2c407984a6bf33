from __future__ import annotations

import re

import pytest

from byoi_console.nodes.device_flow.requests import DeviceRequest, GrantRequest

FIRST = {"mode": "dedicated", "visibility": "org"}


@pytest.fixture
def begin(devices, device):
    """Has a machine ask for a code; gives what it is told, and how it polls."""

    async def begin(**changes):
        machine = device()
        request = DeviceRequest.model_validate(machine.request(**changes))
        begun = await devices.start(request, peer="10.9.9.9")
        return begun, GrantRequest.model_validate(machine.grant(begun.device_code))

    return begin


@pytest.fixture
async def code(begin):
    """The user code of a machine that waits."""
    begun, _ = await begin()
    return begun.user_code


async def test_a_link_fills_in_the_code_and_tells_nothing_of_the_machine(browser, code):
    answer = await browser.get(f"/devices?code={code}")
    assert answer.status == 200
    assert f'value="{code}"' in answer.text
    assert "10.9.9.9" not in answer.text


async def test_a_link_cannot_bring_more_than_a_code(browser):
    long = "A" * 5000 + '"><script>alert(1)</script>'
    answer = await browser.get(f"/devices?code={long}")
    assert "<script>alert" not in answer.text
    assert "A" * 33 not in answer.text


async def test_the_machine_is_shown_with_the_fingerprint_of_its_terminal(browser, code, devices):
    answer = await browser.post("/devices", {"code": code.lower()})
    assert answer.status == 200
    assert "10.9.9.9" in answer.text
    assert re.search(r'id="fingerprint">[0-9a-f]{4}(-[0-9a-f]{4}){3}<', answer.text)


async def test_a_foreign_page_cannot_approve(browser, code, records, person):
    for wrong in ({"csrf": "other"}, {"origin": "http://elsewhere"}):
        fields = {"code": code, **FIRST}
        assert (await browser.post("/devices/approve", fields, **wrong)).status == 403


async def test_an_approved_machine_becomes_a_node_as_chosen(
    browser, begin, devices, records, person
):
    begun, poll = await begin()
    fields = {"code": begun.user_code, "name": " desk\n", "mode": "idle", "visibility": "org"}
    answer = await browser.post("/devices/approve", fields)
    assert answer.status == 200
    assert "desk is approved" in answer.text
    await devices.poll(poll)
    (node,) = await records.list(person.org_id)
    assert (node.name, node.mode, node.visibility) == ("desk", "idle", "org")
    assert node.enrolled_by == person.person_id


async def test_the_community_is_chosen_twice_or_not_at_all(browser, code):
    fields = {"code": code, "name": "mine", "mode": "idle", "visibility": "community"}
    answer = await browser.post("/devices/approve", fields)
    assert answer.status == 400
    assert "both are needed" in answer.text
    assert 'value="mine"' in answer.text
    assert 'value="idle" checked' in answer.text
    answer = await browser.post("/devices/approve", {**fields, "community_is_meant": "yes"})
    assert answer.status == 200
    assert "the community is chosen, which this version does not" in answer.text
    assert "<dt>When</dt><dd>while nobody uses it</dd>" in answer.text
    assert "its organisation only" in answer.text


@pytest.mark.parametrize(
    "change", [{"mode": "never"}, {"visibility": ""}, {"name": "n" * 201}, {"take_over": "node_x"}]
)
async def test_a_choice_that_was_not_offered_is_told(browser, code, change):
    answer = await browser.post("/devices/approve", {"code": code, **FIRST, **change})
    assert answer.status == 400
    assert 'role="alert"' in answer.text


async def test_another_organisation_is_not_chosen(browser, code, other_org):
    fields = {"code": code, **FIRST, "organisation": other_org}
    assert (await browser.post("/devices/approve", fields)).status == 403


async def test_a_denied_machine_is_gone_for_the_next_who_looks(browser, code):
    answer = await browser.post("/devices/deny", {"code": code})
    assert "denied" in answer.text
    for target in ("/devices", "/devices/approve", "/devices/deny"):
        assert (await browser.post(target, {"code": code, **FIRST})).status == 404


async def test_wrong_codes_are_answered_kindly_and_then_slowed(browser, code):
    for _ in range(5):
        answer = await browser.post("/devices", {"code": "BBBB-BBBB"})
        assert answer.status == 404
        assert "No machine waits" in answer.text
    answer = await browser.post("/devices", {"code": code})
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) <= 30
    assert re.search(r"Try again in \d+ seconds", answer.text)
    for target in ("/devices/approve", "/devices/deny"):
        assert (await browser.post(target, {"code": code, **FIRST})).status == 429


async def test_a_stranger_is_led_to_the_door_and_back(stranger):
    answer = await stranger.get("/devices?code=WDJB-MJHT")
    assert answer.status == 303
    assert answer.location == "/sign-in?next=%2Fdevices%3Fcode%3DWDJB-MJHT"


async def test_what_a_machine_calls_itself_is_only_text(browser, begin):
    begun, _ = await begin(host={"name": "<img src=x onerror=alert(1)>", "gpus": ["<b>"]})
    text = (await browser.post("/devices", {"code": begun.user_code})).text
    assert "<img src=x" not in text
    assert "<b>" not in text

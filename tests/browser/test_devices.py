"""A machine at a terminal and a person at a browser: the device flow with the real programs."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = r"code\s+([B-Z]{4}-[B-Z]{4})"
SPOKEN = r"key\s+([0-9a-f]{4}(?:-[0-9a-f]{4}){3})"


async def type_code(visit, code):
    await visit.go("/devices")
    await visit.page.get_by_label("Code", exact=True).fill(code)
    await visit.page.get_by_role("button", name="Show the machine").click()


async def test_a_machine_is_approved_by_its_code_and_becomes_a_node(site, enrolling, pictures):
    async with enrolling("approved") as terminal, site.visit() as visit:
        code = (await terminal.shows(CODE))[1]
        spoken = (await terminal.shows(SPOKEN))[1]
        await type_code(visit, code.lower().replace("-", " "))
        page = visit.page
        assert await page.locator("#fingerprint").inner_text() == spoken
        await site.visiting.picture(page, pictures, "device-light")
        await page.get_by_label("Name", exact=True).fill("reading room")
        await page.get_by_role("button", name="Approve").click()
        await visit.headed("reading room is approved")
        await terminal.shows("Enrolled with")
        assert await terminal.wait() == 0
        await visit.go("/nodes")
        row = page.get_by_role("row", name="reading room")
        assert "offline" in await row.inner_text()


@pytest.mark.slow
async def test_a_machine_that_is_denied_hears_so(site, enrolling):
    async with enrolling("denied") as terminal, site.visit() as visit:
        await type_code(visit, (await terminal.shows(CODE))[1])
        await visit.page.get_by_role("button", name="Deny").click()
        await visit.headed("denied")
        assert await terminal.wait() != 0
        assert "denied" in terminal.text


async def test_a_link_fills_in_the_code_and_shows_nothing_by_itself(site, enrolling):
    async with enrolling("linked") as terminal, site.visit() as visit:
        address = (await terminal.shows(r"go to\s+(\S+)"))[1]
        code = (await terminal.shows(CODE))[1]
        await visit.page.goto(address)
        assert await visit.page.get_by_label("Code", exact=True).input_value() == code
        assert not await visit.page.locator("#fingerprint").count()
        await visit.page.keyboard.press("Enter")
        await visit.page.locator("#fingerprint").wait_for()


async def test_a_stranger_signs_in_first_and_comes_back_to_the_code(site):
    async with site.visit(is_signed_in=False) as visit:
        await visit.go("/devices?code=WDJB-MJHT")
        assert "/sign-in" in visit.page.url
        await visit.page.get_by_label("Email").fill(site.email)
        await visit.page.get_by_label("Password").fill(site.password)
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_url("**/devices?code=WDJB-MJHT")
        assert await visit.page.get_by_label("Code", exact=True).input_value() == "WDJB-MJHT"


@pytest.mark.slow
async def test_the_community_takes_a_second_choice(site, enrolling):
    async with enrolling("community") as terminal, site.visit() as visit:
        visit.expect("status of 400")
        page = visit.page
        await type_code(visit, (await terminal.shows(CODE))[1])
        await page.get_by_label("Name", exact=True).fill("for everybody")
        await page.get_by_role("radio", name="The community").check()
        await page.get_by_label("While nobody uses it").check()
        await page.get_by_role("button", name="Approve").click()
        await page.get_by_role("alert").filter(has_text="both are needed").wait_for()
        assert await page.get_by_label("Name", exact=True).input_value() == "for everybody"
        assert await page.get_by_label("While nobody uses it").is_checked()
        await page.get_by_label("Yes, strangers' requests").check()
        await page.get_by_role("button", name="Approve").click()
        await visit.headed("is approved")
        assert "the community" in await page.locator("main").inner_text()
        await terminal.shows("Enrolled with")
        assert await terminal.wait() == 0


async def test_a_machine_that_comes_again_may_go_on_as_the_node_that_it_was(
    site, enrolling, pictures
):
    async with enrolling("again", "--json") as terminal, site.visit() as visit:
        code = json.loads((await terminal.shows(r"(\{.*\})\n"))[1])["user_code"]
        page = visit.page
        await type_code(visit, code)
        before = page.get_by_label(re.compile("Go on as reading room"))
        await before.check()
        await site.visiting.picture(page, pictures, "device-again-light")
        await page.get_by_role("button", name="Approve").click()
        await terminal.shows('"enrolled"')
        assert await terminal.wait() == 0
        enrolled = json.loads(terminal.text.strip().splitlines()[-1])
        assert enrolled["name"] == "reading room"


@pytest.mark.slow
async def test_who_guesses_codes_is_made_to_wait_and_told_how_long(fresh, chromium, visiting):
    """On a console of its own: on the shared one the next test would have to wait as well."""
    deployment = await fresh()
    setup_url = deployment.console.ready["setup_url"]
    async with visiting.visit(chromium, deployment.url) as visit:
        visit.expect("status of 4")
        await visiting.set_up(visit, setup_url, email="a@b.c", password="a long enough password")
        for _ in range(5):
            await type_code(visit, "BBBB-BBBB")
            assert "No machine waits" in await visit.page.get_by_role("alert").inner_text()
        await type_code(visit, "BBBB-BBBB")
        told = await visit.page.get_by_role("alert").inner_text()
        assert re.search(r"Try again in \d+ (seconds|minutes)", told)

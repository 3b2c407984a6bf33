"""The list of nodes and a node's page, live, and what an administrator does there."""

from __future__ import annotations

import re
import time

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

STOP_SECONDS = 20.0
"""Less than a stop waits for what does not end by itself."""


@pytest_asyncio.fixture(loop_scope="session")
async def guest(site, request):
    """A node of this test alone, by the name of `guest`: its id, and how to start it."""
    name = request.node.name
    known = {node["id"] for node in await site.deployment.nodes()}
    await site.deployment.enrol(name)
    (node_id,) = {node["id"] for node in await site.deployment.nodes()} - known
    await site.deployment.admin("PATCH", f"/api/nodes/{node_id}", {"name": "guest"})
    started = []

    async def run():
        engine = site.deployment.engine.ready["url"]
        started.append(await site.deployment.run_node(name, "--engine", engine))
        return started[-1]

    yield node_id, run
    for process in started:
        await process.stop()
    if node_id in {node["id"] for node in await site.deployment.nodes()}:
        await site.deployment.admin("DELETE", f"/api/nodes/{node_id}")


async def without_reload(page):
    """Mark the document: the mark is gone if it is loaded anew."""
    await page.evaluate("window.isTheSame = true")

    async def check():
        assert await page.evaluate("window.isTheSame === true")

    return check


@pytest.mark.slow
async def test_a_node_s_coming_and_going_shows_without_reloading(site, guest, pictures):
    _, run = guest
    async with site.visit() as visit:
        page = visit.page
        await visit.go("/nodes")
        is_same = await without_reload(page)
        row = page.get_by_role("row", name="guest")
        await row.get_by_text("offline").wait_for()
        process = await run()
        await row.get_by_text("online").wait_for()
        await row.get_by_text("stand-in").wait_for()
        assert (await site.deployment.chat("hello", model="stand-in")).is_complete
        await page.locator("tbody td", has_text=re.compile(r"^[0-9.]*[1-9]$")).first.wait_for()
        process.kill()
        await row.get_by_text("reconnecting").wait_for()
        await site.visiting.picture(page, pictures, "nodes-reconnecting-light")
        said = page.locator("#live-said", has_text="guest: reconnecting")
        await said.wait_for(state="attached")
        await is_same()


async def test_a_node_s_page_is_live_and_its_orders_are_carried_out(site, guest, axe, pictures):
    node_id, run = guest
    async with site.visit() as visit:
        page = visit.page
        await run()
        await visit.go(f"/nodes/{node_id}")
        now = page.get_by_role("region", name="Now")
        await now.get_by_text("online").wait_for()
        await now.get_by_text("stand-in").first.wait_for()
        found = await site.visiting.violations(page, axe)
        await site.visiting.picture(page, pictures, "node-light")

        await page.get_by_role("link", name="Drain…").click()
        await visit.headed("Drain guest?")
        found += await site.visiting.violations(page, axe)
        await site.visiting.picture(page, pictures, "node-drain-light")
        await page.get_by_role("button", name="Drain").click()
        await now.get_by_text("drained").first.wait_for()
        await page.emulate_media(color_scheme="dark")
        found += await site.visiting.violations(page, axe)
        await site.visiting.picture(page, pictures, "node-drained-dark")
        await page.get_by_role("button", name="Let it serve again").click()
        await page.get_by_role("link", name="Drain…").wait_for()

        await page.get_by_label("Name", exact=True).fill("renamed")
        await page.get_by_role("button", name="Rename").click()
        await visit.headed("renamed")

        await page.get_by_role("link", name="Revoke…").click()
        await page.get_by_role("button", name="Revoke").click()
        await now.get_by_text("revoked").first.wait_for()
        await page.get_by_role("link", name="Delete…").click()
        await page.get_by_role("button", name="Delete").click()
        await page.get_by_text("The node is deleted").wait_for()
        assert not await page.get_by_role("row", name="renamed").count()
        assert not found, "\n".join(found)


@pytest.mark.slow
async def test_a_key_ordered_here_is_used_by_the_node_and_the_old_one_ends(site, guest):
    node_id, run = guest
    async with site.visit() as visit:
        page = visit.page
        await run()
        await visit.go(f"/nodes/{node_id}")
        await page.get_by_role("link", name="New key…").click()
        await page.get_by_role("button", name="Order a new key for").click()
        await page.get_by_text("A new key is ordered.").wait_for()

        async def both():
            await page.reload()
            states = await page.locator("section[aria-labelledby=keys-title] td .badge").all()
            return [await state.inner_text() for state in states] == ["in use", "ended"]

        await site.deployment.until(both)
        await page.get_by_role("region", name="Now").get_by_text("online").wait_for()


@pytest.mark.slow
async def test_a_page_of_somebody_who_signed_out_elsewhere_leads_to_the_door(site):
    async with site.visit(is_signed_in=False) as visit:
        page = visit.page
        await visit.go("/sign-in?next=/nodes")
        await page.get_by_label("Email").fill(site.email)
        await page.get_by_label("Password").fill(site.password)
        await page.keyboard.press("Enter")
        await page.wait_for_url(site.url + "/nodes")
        other = await visit.context.new_page()
        visit.watch(other)
        await other.goto(site.url + "/nodes")
        await other.get_by_role("button", name="Sign out").click()
        await other.wait_for_url("**/sign-in")
        await page.wait_for_url("**/sign-in?next=%2Fnodes")


@pytest.mark.slow
async def test_an_open_page_holds_up_no_stop_and_is_live_again_after_a_restart(
    fresh, chromium, visiting
):
    deployment = await fresh()
    setup_url = deployment.console.ready["setup_url"]
    async with visiting.visit(chromium, deployment.url) as visit:
        visit.expect("ERR_")
        await visiting.set_up(visit, setup_url, email="a@b.c", password="a long enough password")
        await visit.go("/nodes")
        await visit.page.get_by_text("This page is live.").wait_for()
        began = time.monotonic()
        assert await deployment.console.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS
        await visit.page.get_by_text("Not live at the moment").wait_for()
        await deployment.start_console()
        await visit.page.get_by_text("This page is live.").wait_for()

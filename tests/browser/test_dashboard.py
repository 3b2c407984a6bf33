"""The owner's pages of a real node in a real browser: the switch, live, and for everybody."""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

STOPS_SECONDS = 1.0


class Owner:
    """Whoever owns the node: their way into its pages."""

    def __init__(self, site, process):
        self.site = site
        self.process = process

    @property
    def url(self):
        return self.process.ready["control_url"]

    async def api(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.process.ready['control_token']}"}
        async with self.site.deployment.http.request(
            method, self.url + path, json=body, headers=headers
        ) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def link(self):
        return (await self.api("POST", "/api/dashboard/open"))["url"]

    def visit(self, **options):
        return self.site.visiting.visit(self.site.chromium, self.url, **options)

    async def enter(self, visit, path="/"):
        """By a link, then to the page, which is live."""
        await visit.page.goto(await self.link())
        await visit.page.wait_for_url(self.url + "/")
        if path != "/":
            await visit.go(path)


@pytest_asyncio.fixture(loop_scope="session")
async def owner(site):
    """Of the workstation; in the end it serves as before."""
    (process,) = [each for each in site.deployment.processes if each.name == "workstation"]
    owner = Owner(site, process)
    yield owner
    await owner.api("POST", "/api/availability/resume")
    await owner.api("POST", "/api/availability/mode", {"mode": None})


async def status_of_a_request(site):
    return (await site.deployment.chat("hello", model="stand-in")).status


async def test_the_switch_stops_traffic_within_a_second_and_lets_it_in_again(site, owner, pictures):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        switch = page.get_by_role("switch")
        await page.get_by_text("This page is live.").wait_for()
        assert await switch.get_attribute("aria-checked") == "true"
        assert await status_of_a_request(site) == 200

        began = time.monotonic()
        await switch.click()
        while await status_of_a_request(site) != 503:
            assert time.monotonic() - began < STOPS_SECONDS, "requests are still answered"
        await page.get_by_role("heading", name="Paused").wait_for()
        assert await switch.get_attribute("aria-checked") == "false"
        await site.visiting.picture(page, pictures, "dashboard-paused")

        await switch.click()
        await page.get_by_role("heading", name="Serving").wait_for()
        began = time.monotonic()
        while await status_of_a_request(site) != 200:
            assert time.monotonic() - began < 2 * STOPS_SECONDS, "nothing is answered again"


async def test_what_changes_elsewhere_shows_without_reloading(site, owner):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        await page.evaluate("window.isTheSame = true")
        await owner.api("POST", "/api/availability/pause", {"seconds": 3600})
        await page.get_by_role("heading", name="Paused").wait_for()
        await page.get_by_role("switch").press("Space")
        await page.get_by_role("heading", name="Serving").wait_for()
        assert await page.evaluate("document.activeElement.id") == "toggle"
        assert await page.evaluate("window.isTheSame === true")


@pytest.mark.slow
async def test_a_link_works_once_and_a_stranger_sees_nothing(site, owner):
    link = await owner.link()
    async with owner.visit() as visit, owner.visit() as other:
        await visit.page.goto(link)
        await visit.page.wait_for_url(owner.url + "/")
        other.expect("status of 401")
        await other.page.goto(link)
        assert "This page needs a link" in await other.heading()
        await other.go("/")
        assert "This page needs a link" in await other.heading()
        assert await other.page.get_by_text("byoi dashboard").count()


@pytest.mark.slow
async def test_the_switch_works_without_scripts(site, owner):
    async with owner.visit(java_script_enabled=False) as visit:
        page = visit.page
        await owner.enter(visit)
        await page.get_by_role("switch").click()
        assert await page.get_by_role("heading", name="Paused").count()
        await page.get_by_role("switch").click()
        assert await page.get_by_role("switch").get_attribute("aria-checked") == "true"

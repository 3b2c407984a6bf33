"""The owner's pages of a real node in a real browser: the switch, live, and for everybody."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

STOPS_SECONDS = 1.0
STOP_SECONDS = 20.0
"""Less than a stop waits for what does not end by itself."""
MODEL = "own"
PAGES = ("/", "/schedule", "/models", "/log", "/pins", "/doctor", "/about")
NARROW, WIDE = {"width": 320, "height": 640}, {"width": 3840, "height": 2160}


class Owner:
    """Whoever owns the node: their way into its pages."""

    def __init__(self, site, hub, flags):
        self.site = site
        self.hub = hub
        self.flags = flags
        self.process = None

    async def start(self, *flags):
        self.process = await self.site.deployment.run_node("owned", *self.flags, *flags)

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
        """By a link, then to the page."""
        await visit.page.goto(await self.link())
        await visit.page.wait_for_url(self.url + "/")
        if path != "/":
            await visit.go(path)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def owned(site, hubs):
    """A node beside the others that alone serves its model, and a hub that it pulls from."""
    deployment = site.deployment
    async with hubs.FakeHub() as hub:
        hub.add("acme/small", {"small.gguf": hubs.gguf(size=1 << 20)})
        engine = await deployment.start_fake_engine("own engine", "--models", MODEL)
        await deployment.enrol("owned")
        owner = Owner(site, hub, ("--engine", engine.ready["url"], "--hub", hub.url))
        await owner.start()
        yield owner


@pytest_asyncio.fixture(loop_scope="session")
async def owner(owned):
    """In the end the node serves as before."""
    yield owned
    await owned.api("POST", "/api/availability/resume", {})
    await owned.api("POST", "/api/availability/mode", {"mode": None})


async def status_of_a_request(site):
    return (await site.deployment.chat("hello", model=MODEL)).status


async def until_status(site, wanted, began):
    """How long it takes from then on."""

    async def is_so():
        return await status_of_a_request(site) == wanted

    await site.deployment.until(is_so)
    return time.monotonic() - began


async def test_the_switch_stops_traffic_within_a_second_and_lets_it_in_again(
    site, owner, helper, pictures
):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        switch = page.get_by_role("switch")
        await page.get_by_text("This page is live.").wait_for()
        assert await switch.get_attribute("aria-checked") == "true"
        assert await status_of_a_request(site) == 200
        await page.get_by_text("1 request").first.wait_for()
        await site.visiting.picture(page, pictures, "dashboard", full_page=False)

        async def turn_off():
            if await switch.get_attribute("aria-checked") == "false":
                await turn_on()
            began = time.monotonic()
            await switch.click()
            seconds = await until_status(site, 503, began)
            await page.get_by_role("heading", name="Paused").wait_for()
            return seconds

        async def turn_on():
            if await switch.get_attribute("aria-checked") == "true":
                await turn_off()
            await switch.click()
            await page.get_by_role("heading", name="Serving").wait_for()
            return await until_status(site, 200, time.monotonic())

        await helper("promise").kept(STOPS_SECONDS, turn_off)
        assert await switch.get_attribute("aria-checked") == "false"
        await site.visiting.picture(page, pictures, "dashboard-paused", full_page=False)
        await helper("promise").kept(2 * STOPS_SECONDS, turn_on)


@pytest.mark.slow
async def test_what_changes_elsewhere_shows_without_reloading(site, owner):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        await page.evaluate("window.isTheSame = true")
        let_end = page.get_by_label("let what is being answered end first")
        await let_end.check()
        await owner.api("POST", "/api/availability/pause", {"seconds": 3600})
        await page.get_by_role("heading", name="Paused").wait_for()
        assert await let_end.is_checked()
        await page.set_viewport_size(NARROW)  # which the moment of its end must fit in
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await page.get_by_role("switch").press("Space")
        await page.get_by_role("heading", name="Serving").wait_for()
        assert await page.evaluate("document.activeElement.id") == "toggle"
        assert await page.evaluate("window.isTheSame === true")


@pytest.mark.slow
async def test_what_is_half_typed_stays_while_its_row_is_drawn_anew(owner):
    """The lists come from the test, one for each time that the page asks for what is live."""
    rows = [
        f'<button aria-label="Stop serving {name}">Stop</button>'
        f'<input type="number" aria-label="Priority of {name}" value="50">'
        for name in ("large", "small")
    ]
    more = "Anew <button aria-label='Unload large'>Unload</button>"
    lists = [f'<section id="models">{word}{"".join(rows)}</section>' for word in ("", more)]
    shown, is_typed = iter(lists), asyncio.Event()

    async def live(route):
        html = next(shown, None)
        if html == lists[1]:
            await is_typed.wait()
        if html is not None:
            told = json.dumps({"parts": {"models": html}, "order": None})
            body = f"retry: 10\nevent: parts\ndata: {told}\n\n"
            await route.fulfill(content_type="text/event-stream", body=body)

    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        await page.add_init_script("delete Element.prototype.ariaLabel")  # older Firefox has none
        await page.route("**/live/models", live)
        await visit.go("/models")
        field = page.get_by_label("Priority of small")
        await field.fill("7")
        is_typed.set()
        await page.get_by_text("Anew").wait_for()
        assert await field.input_value() == "7"
        assert await field.evaluate("field => field === document.activeElement")


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
        await page.get_by_role("heading", name="Paused").wait_for()
        await page.get_by_role("switch").click()
        await page.get_by_role("heading", name="Serving").wait_for()
        assert await page.get_by_role("switch").get_attribute("aria-checked") == "true"


@pytest.mark.slow
async def test_hours_are_added_and_removed_by_keyboard_alone(site, owner, keyboard):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit, "/schedule")
        await keyboard.tab_to(page, "serve")
        await page.keyboard.press("ArrowRight")
        await keyboard.press(page, "Monday", "Space")
        await keyboard.press(page, "Add")
        await page.get_by_text("Tuesday to Sunday, 22:00 to 07:00 of the next day").wait_for()
        found = await owner.api("GET", "/api/schedule")
        assert [window["days"][0] for window in found["quiet"]] == ["tue"]
        await keyboard.press(page, "Remove")
        await page.get_by_text("No quiet hours.").wait_for()
        assert not (await owner.api("GET", "/api/schedule"))["quiet"]


@pytest.mark.slow
async def test_a_model_is_fetched_with_its_progress_and_cancelled_and_removed(site, owner, axe):
    owner.hub.chunk_seconds = 2.0  # it is cancelled long before it is here
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit, "/models")
        await page.get_by_text("This page is live.").wait_for()
        pulls = page.get_by_role("region", name="What is being fetched")
        await page.get_by_label("Name on the hub").fill("acme/small")
        await page.keyboard.press("Enter")
        await pulls.get_by_role("progressbar").wait_for()
        await pulls.get_by_role("button", name="Cancel acme/small").click()
        await pulls.get_by_text("cancelled").wait_for()

        owner.hub.chunk_seconds = 0.0
        await page.get_by_role("button", name="Fetch").click()
        await pulls.get_by_text("done").wait_for()
        here = page.get_by_role("region", name="Models on this machine")
        await here.get_by_role("link", name="Remove acme/small").click()
        assert not await site.visiting.violations(page, axe)
        await page.get_by_role("button", name="Remove").click()
        await page.get_by_text("It is gone from the disk.").wait_for()
        assert not await here.get_by_role("heading", name="acme/small").count()


@pytest.mark.slow
async def test_every_page_is_for_everybody(site, owner, axe, pictures):
    """By axe-core's rules in light and dark, on a desk and in a hand; from 320 pixels to 4K."""
    visiting = site.visiting
    found = []
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        for path in PAGES:
            await page.set_viewport_size(visiting.DESKTOP)
            await visit.go(path)
            if path == "/doctor":
                await page.get_by_role("region", name="Findings").wait_for()
            for size, scheme in ((visiting.DESKTOP, "light"), (visiting.PHONE, "dark")):
                await page.set_viewport_size(size)
                await page.emulate_media(color_scheme=scheme)
                found += [
                    f"{path}, {scheme}: {why}" for why in await visiting.violations(page, axe)
                ]
                name = f"dashboard-{path.strip('/') or 'overview'}-{size['width']}-{scheme}"
                await visiting.picture(page, pictures, name)
            for size in (NARROW, WIDE):
                await page.set_viewport_size(size)
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                found += [f"{path}: {wide} pixels too wide for {size['width']}"] if wide > 0 else []
    assert not found, "\n".join(found)


@pytest.mark.slow
async def test_the_log_follows_and_what_is_in_it_is_text(site, owner):
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit, "/log")
        await page.get_by_text("This page is live.").wait_for()
        log = page.get_by_role("log")
        await owner.api("POST", "/api/availability/pause", {"seconds": 60})
        await log.get_by_text("control request").last.wait_for()
        await page.get_by_role("button", name="Follow").click()
        await page.get_by_text("Paused: what is shown stays.").wait_for()
        lines = await log.locator(".log-line").count()
        await owner.api("POST", "/api/availability/resume", {})
        await page.get_by_role("button", name="Follow").click()
        await page.get_by_text("This page is live.").wait_for()
        await page.wait_for_function(
            "lines => document.querySelectorAll('#log .log-line').length > lines", arg=lines
        )


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/", "http://evil.example/"])
async def test_a_page_of_another_place_cannot_turn_the_switch(site, owner, place):
    form = f"""<form method=post action={owner.url}/switch><button name=turn value=off>Win</button>
        </form>"""
    async with owner.visit() as visit:
        page = visit.page
        await owner.enter(visit)
        await page.route(
            place, lambda route: route.fulfill(body=form, content_type="text/html; charset=utf-8")
        )
        await page.goto(place)
        visit.expect("status of 40")
        await page.get_by_role("button", name="Win").click()
        await page.get_by_role(
            "heading", name=re.compile("That is not allowed|This page needs a link")
        ).wait_for()
        visit.requested.clear()  # that page is none of ours
    assert not (await owner.api("GET", "/api/status"))["availability"]["is_paused"]


@pytest.mark.slow
async def test_an_open_page_holds_up_no_stop_and_goes_on_after_it_until_it_is_signed_out(
    site, owner
):
    """Its session goes on with the node on its port; once ended, it says by itself what to do."""
    async with owner.visit() as visit:
        page = visit.page
        visit.expect("ERR_")
        visit.expect("status of 401")
        await owner.enter(visit)
        await page.get_by_text("This page is live.").wait_for()
        port = owner.url.rpartition(":")[2]
        began = time.monotonic()
        assert await owner.process.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS
        await page.get_by_text("Not live at the moment").wait_for()
        await owner.start("--control-port", port)
        await page.get_by_text("This page is live.").wait_for()
        await page.get_by_role("switch").click()
        await page.get_by_role("heading", name="Paused").wait_for()
        await page.get_by_role("switch").click()
        await page.get_by_role("heading", name="Serving").wait_for()
        await owner.api("POST", "/api/dashboard/sign-out")
        await page.get_by_role("heading", name="This page needs a link").wait_for()
        await page.goto(await owner.link())
        await page.get_by_text("This page is live.").wait_for()

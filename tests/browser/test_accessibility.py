"""Every page by axe-core's rules, in light and dark, on a desk and in a hand; with pictures."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOOR = {"sign-in": "/sign-in", "no-such-link": "/setup/nonsense"}
PAGES = {
    "overview": "/",
    "nodes": "/nodes",
    "devices": "/devices?code=WDJB-MJHT",
    "keys": "/keys",
    "join-tokens": "/join-tokens",
    "usage": "/usage",
    "account": "/account",
    "no-such-page": "/nowhere",
}


async def check(visit, axe, visiting, pictures, name):
    """Both colours and both sizes of the page that is open."""
    page = visit.page
    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found += [f"{name}, {scheme}: {line}" for line in await visiting.violations(page, axe)]
        await visiting.picture(page, pictures, f"{name}-{scheme}")
    await page.set_viewport_size(visiting.PHONE)
    found += [f"{name}, phone: {line}" for line in await visiting.violations(page, axe)]
    width = await page.evaluate("document.documentElement.scrollWidth")
    if width > visiting.PHONE["width"]:
        found.append(f"{name}, phone: {width} pixels wide, so that it has to be pushed sideways")
    await visiting.picture(page, pictures, f"{name}-phone-dark")
    await page.emulate_media(color_scheme="light")
    await visiting.picture(page, pictures, f"{name}-phone-light")
    await page.set_viewport_size(visiting.DESKTOP)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everybody(site, axe, visiting, pictures, name):
    async with site.visit() as visit:
        visit.expect("status of 404")
        await visit.go(PAGES[name])
        await visit.page.wait_for_load_state()
        await check(visit, axe, visiting, pictures, name)


@pytest.mark.parametrize("name", DOOR)
async def test_the_door_is_for_everybody(site, axe, visiting, pictures, name):
    async with site.visit(is_signed_in=False) as visit:
        visit.expect("status of 4")
        await visit.go(DOOR[name])
        await check(visit, axe, visiting, pictures, name)

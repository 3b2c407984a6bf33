"""Every page by axe-core's rules, in light and dark, on a desk and in a hand; with pictures."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOOR = {"sign-in": "/sign-in", "no-such-link": "/setup/nonsense"}
PAGES = {
    "overview": "/",
    "nodes": "/nodes",
    "node": "/nodes/{node}",
    "devices": "/devices?code=WDJB-MJHT",
    "keys": "/keys",
    "key-new": "/keys/new",
    "key-revoke": "/keys/{key}/revoke",
    "join-tokens": "/join-tokens",
    "usage": "/usage",
    "account": "/account",
    "no-such-page": "/nowhere",
}


async def check(visit, axe, visiting, pictures, name):
    """Light on a desk and dark in a hand by the rules; all four for the eye."""
    page = visit.page
    found = []
    for size, scheme in (("desk", "light"), ("hand", "dark")):
        await page.set_viewport_size(visiting.DESKTOP if size == "desk" else visiting.PHONE)
        await page.emulate_media(color_scheme=scheme)
        found += [f"{name}, {scheme}: {line}" for line in await visiting.violations(page, axe)]
        await visiting.picture(page, pictures, f"{name}-{size}-{scheme}")
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{name}, {size}: {wide} pixels too wide, so that it has to be pushed")
        other = "light" if scheme == "dark" else "dark"
        await page.emulate_media(color_scheme=other)
        await visiting.picture(page, pictures, f"{name}-{size}-{other}")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everybody(site, axe, visiting, pictures, name):
    async with site.visit() as visit:
        if name == "no-such-page":
            visit.expect("status of 404")
        (node, *_), keys = (
            await site.deployment.nodes(),
            (await site.deployment.admin("GET", "/api/keys"))["data"],
        )
        await visit.go(PAGES[name].format(node=node["id"], key=keys[0]["id"]))
        if name == "no-such-page":
            assert await visit.heading() == "There is no such page"
        await check(visit, axe, visiting, pictures, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOOR)
async def test_the_door_is_for_everybody(site, axe, visiting, pictures, name):
    async with site.visit(is_signed_in=False) as visit:
        if name == "no-such-link":
            visit.expect("status of 4")
        await visit.go(DOOR[name])
        await check(visit, axe, visiting, pictures, name)

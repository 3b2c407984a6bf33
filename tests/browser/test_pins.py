"""An administrator asks for a node, its owner consents and takes it back; the page is live."""

from __future__ import annotations

import asyncio

import pytest

from byoi_agent.control.client import ControlClient

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_a_node_is_asked_for_dedicated_and_taken_back_under_the_admin_s_eyes(
    site, axe, pictures
):
    deployment = site.deployment
    known = {node["id"] for node in await deployment.nodes()}
    await deployment.enrol("pinned")
    (node_id,) = {node["id"] for node in await deployment.nodes()} - known
    engine = deployment.engine.ready["url"]
    node = await deployment.run_node("pinned", "--engine", engine)
    client = ControlClient(socket_path=node.ready["control_socket"])
    try:
        async with site.visit() as visit:
            page = visit.page
            await visit.go(f"/nodes/{node_id}")
            await page.get_by_role("link", name="Dedicate…").click()
            await visit.headed("Dedicate ")
            found = await site.visiting.violations(page, axe)
            await site.visiting.picture(page, pictures, "node-dedicate-light")
            await page.get_by_label("Why").fill("for the nights")
            await page.get_by_role("button", name="Dedicate").click()
            await page.locator("[data-pin=asked]").wait_for()
            found += await site.visiting.violations(page, axe)

            async def heard():
                return (await asyncio.to_thread(client.pins)).pins

            (pin,) = await deployment.until(heard)
            assert (pin.state, pin.reason) == ("asked", "for the nights")
            await asyncio.to_thread(client.answer_pin, pin.id, "consent")
            await page.locator("[data-pin=granted]").wait_for()
            await page.get_by_text("to your organisation alone").wait_for()
            await site.visiting.picture(page, pictures, "node-dedicated-light")

            await asyncio.to_thread(client.answer_pin, pin.id, "withdraw")
            await page.locator("[data-pin=withdrawn]").wait_for()
            await page.get_by_text("its owner took it back").wait_for()

            await asyncio.to_thread(client.pause, None)
            now = page.get_by_role("region", name="Now")
            await now.get_by_text("paused", exact=True).wait_for()
            await page.emulate_media(color_scheme="dark")
            found += await site.visiting.violations(page, axe)
            await site.visiting.picture(page, pictures, "node-withdrawn-paused-dark")
            assert not found
    finally:
        await node.stop()
        await deployment.admin("DELETE", f"/api/nodes/{node_id}")

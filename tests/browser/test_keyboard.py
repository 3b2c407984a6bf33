"""Everything by Tab, Enter, Space and arrows alone, or without scripts; no breach of the policy."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

FARTHEST = 60
FOCUSED = """() => {
  const it = document.activeElement;
  const label = it.labels?.length ? it.labels[0].textContent : it.textContent;
  const ring = getComputedStyle(it).outlineStyle;
  return {name: label.replace(/\\s+/g, " ").trim(), hasRing: ring !== "none"};
}"""


BREACH = """() => {
  document.body.insertAdjacentHTML("beforeend", "<p style='color: red' onclick='x()'>a</p>");
  document.body.append(Object.assign(new Image(), {src: "https://elsewhere.example/i.png"}));
}"""


async def tab_to(page, name):
    """Press Tab until the focus is at `name`, where it can be seen."""
    passed = []
    for _ in range(FARTHEST):
        focused = await page.evaluate(FOCUSED)
        if focused["name"].startswith(name):
            assert focused["hasRing"], f"nobody sees that {name!r} has the focus"
            return
        passed.append(focused["name"])
        await page.keyboard.press("Tab")
    raise AssertionError(f"no way by Tab to {name!r}; passed {passed}")


async def press(page, name, key="Enter"):
    await tab_to(page, name)
    await page.keyboard.press(key)


async def write(page, name, text):
    await tab_to(page, name)
    await page.keyboard.type(text)


async def test_sign_in_approve_and_revoke_without_a_mouse(site, enrolling):
    async with enrolling("by-keyboard") as terminal, site.visit(is_signed_in=False) as visit:
        page = visit.page
        code = (await terminal.shows(r"code\s+([B-Z]{4}-[B-Z]{4})"))[1]
        await visit.go("/sign-in?next=/devices")
        await write(page, "Email", site.email)
        await write(page, "Password", site.password)
        await press(page, "Sign in")
        await page.wait_for_url(site.url + "/devices")

        await write(page, "Code", code)
        await press(page, "Show the machine")
        await page.locator("#fingerprint").wait_for()
        await write(page, "Name", "by hand")
        await tab_to(page, "Always")
        await page.keyboard.press("ArrowDown")
        assert await page.get_by_label("While nobody uses it").is_checked()
        await tab_to(page, "Yes, strangers")
        await page.keyboard.press("Space")
        await page.keyboard.press("Space")
        await press(page, "Approve", "Space")
        await page.get_by_role("heading", name="by hand is approved").wait_for()
        assert await terminal.wait() == 0

        await press(page, "To the nodes")
        await page.wait_for_url(site.url + "/nodes")
        await press(page, "by hand")
        await page.get_by_role("heading", name="by hand").wait_for()
        await press(page, "Revoke…")
        await page.get_by_role("heading", name="Revoke by hand?").wait_for()
        await press(page, "Revoke", "Space")
        await page.get_by_text("It is revoked.").wait_for()


@pytest.mark.slow
async def test_the_first_tab_leads_past_the_navigation(site):
    async with site.visit() as visit:
        page = visit.page
        await visit.go("/nodes")
        await page.keyboard.press("Tab")
        await press(page, "Skip to the content")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.slow
async def test_the_row_that_has_the_focus_keeps_it_when_it_is_drawn_anew(site):
    async with site.visit() as visit:
        page = visit.page
        await visit.go("/nodes")
        await page.get_by_text("This page is live.").wait_for()
        link = page.locator("#nodes a").first
        await link.focus()
        row = await page.locator("#nodes tr").first.element_handle()
        assert (await site.deployment.chat("hello", model="stand-in")).is_complete
        await page.wait_for_function("row => !row.isConnected", arg=row)
        assert await page.evaluate("document.activeElement.matches('#nodes tr:first-child a')")


@pytest.mark.slow
async def test_pages_do_their_work_without_scripts(site, enrolling):
    async with (
        enrolling("no-scripts") as terminal,
        site.visit(java_script_enabled=False) as visit,
    ):
        code = (await terminal.shows(r"code\s+([B-Z]{4}-[B-Z]{4})"))[1]
        page = visit.page
        await visit.go("/nodes")
        assert await page.get_by_role("row").count() > 1
        await visit.go(f"/devices?code={code}")
        await page.get_by_role("button", name="Show the machine").click()
        await page.get_by_role("button", name="Deny").click()
        await visit.headed("denied")


@pytest.mark.slow
async def test_the_browser_would_tell_of_a_breach_and_of_a_foreign_place(site):
    """The checks that every visit ends with can fail."""
    async with site.visit() as visit:
        await visit.go("/nodes")
        await visit.page.evaluate(BREACH)
        await visit.page.wait_for_function("document.images.length > 1")
        with pytest.raises(AssertionError, match="Content Security Policy"):
            visit.check()
        visit.complaints.clear()
        visit.requested.append("https://elsewhere.example/i.png")
        with pytest.raises(AssertionError, match="elsewhere"):
            visit.check()
        visit.requested.clear()

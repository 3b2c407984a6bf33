"""Pages that stand at the end of a step, by axe-core's rules; each is come to as a person comes."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

NEW = "another long password"


def _check():
    """How the other pages are looked at (tests are no package, so it is loaded by its file)."""
    place = Path(__file__).with_name("test_accessibility.py")
    spec = importlib.util.spec_from_file_location("test_accessibility", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.check


@pytest.fixture(scope="module")
def check(axe, visiting, pictures):
    """Look at the page by the rules, in both schemes and sizes."""
    look = _check()

    async def run(visit, name):
        await look(visit, axe, visiting, pictures, name)
        await visit.page.emulate_media(color_scheme="light")
        await visit.page.set_viewport_size(visiting.DESKTOP)

    return run


async def reset_link(deployment, email):
    """As `byoi-console admin reset-password` prints it."""
    program = deployment.programs / "byoi-console"
    argv = (
        "admin",
        "reset-password",
        "--email",
        email,
        "--data-dir",
        deployment.folder / "console",
    )
    process = await asyncio.create_subprocess_exec(
        program, *argv, env=deployment.env, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return re.search(r"http\S+/reset-password/\S+", told.decode())[0]


async def sign_in(visit, email, password):
    await visit.page.get_by_label("Email").fill(email)
    await visit.page.get_by_label("Password").fill(password)
    await visit.page.get_by_role("button", name="Sign in").click()


async def new_password(page, password):
    await page.get_by_label("New password", exact=True).fill(password)
    await page.get_by_label("The same again").fill(password)


async def test_the_first_form_and_the_password_s_whole_life(fresh, chromium, visiting, check):
    """On a console of its own: on the shared one nobody else could sign in after it."""
    deployment = await fresh()
    first, email = "a long enough password", "grace@example.org"
    async with visiting.visit(chromium, deployment.url) as visit:
        page = visit.page
        visit.expect("status of 4")
        await visiting.set_up(
            visit,
            deployment.console.ready["setup_url"],
            email=email,
            password=first,
            before_sending=lambda: check(visit, "set-up"),
        )
        await visit.go("/account")
        await page.get_by_label("Current password").fill("not this one")
        await new_password(page, NEW)
        await page.get_by_role("button", name="Change the password").click()
        await page.get_by_role("alert").filter(has_text="current password is wrong").wait_for()
        await page.get_by_label("Current password").fill(first)
        await new_password(page, NEW)
        await page.get_by_role("button", name="Change the password").click()
        await page.get_by_role("status").filter(has_text="is changed").wait_for()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await sign_in(visit, email, first)
        await page.get_by_role("alert").filter(has_text="Wrong email or password").wait_for()
        await sign_in(visit, email, NEW)
        await page.wait_for_url(visit.url + "/")
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.goto(await reset_link(deployment, email))
        await check(visit, "reset-password")
        await new_password(page, first)
        await page.get_by_role("button", name="Set the password").click()
        await page.wait_for_url(visit.url + "/")


async def test_a_new_key_s_page(site, check):
    async with site.visit() as visit:
        await visit.go("/keys/new")
        await visit.page.get_by_label("Name", exact=True).fill("for a look")
        await visit.page.get_by_role("button", name=re.compile("^(Make|Create)")).click()
        await visit.page.get_by_text("cannot be shown again").wait_for()
        await check(visit, "key-made")


async def test_a_join_token_is_made_used_and_revoked_in_a_browser(site, enrolling, check, tmp_path):
    async with site.visit() as visit:
        page = visit.page
        visit.expect("status of 400")
        await visit.go("/join-tokens")
        await page.get_by_label("Machines that may join by it").fill("none")
        await page.get_by_role("button", name="Make a token").click()
        await page.get_by_role("alert").filter(has_text="Machines").wait_for()
        await page.get_by_label("Machines that may join by it").fill("2")
        await page.get_by_label("Expires").select_option(label="In a day")
        await page.get_by_role("button", name="Make a token").click()
        token = (await page.locator("#new-token").inner_text()).strip()
        assert token.startswith("byoi-join-")
        await check(visit, "join-token-made")
        file = tmp_path / "token"
        file.write_text(token)
        async with enrolling("of-a-fleet", "--join-token-file", str(file)) as terminal:
            await terminal.shows("Enrolled with")
            assert await terminal.wait() == 0
        await page.get_by_role("link", name="Done").click()
        row = page.get_by_role("row").filter(has_text="1 of 2")
        await row.get_by_role("link", name=re.compile("^Revoke")).click()
        await check(visit, "join-token-revoke")
        await page.get_by_role("button", name="Revoke the token").click()
        await page.get_by_role("status").filter(has_text="is revoked").wait_for()
        async with enrolling("too-late", "--join-token-file", str(file)) as terminal:
            await terminal.shows("unknown, used up, expired or revoked")
            assert await terminal.wait() == 78


async def test_a_machine_that_asks_and_what_was_decided(site, enrolling, check):
    async with enrolling("looked-at") as terminal, site.visit() as visit:
        code = (await terminal.shows(r"code\s+([B-Z]{4}-[B-Z]{4})"))[1]
        await visit.go(f"/devices?code={code}")
        await visit.page.get_by_role("button", name="Show the machine").click()
        await visit.page.locator("#fingerprint").wait_for()
        await check(visit, "device")
        await visit.page.get_by_role("button", name="Approve").click()
        await visit.page.get_by_role("heading", name=re.compile("is approved")).wait_for()
        await check(visit, "device-decided")
        await terminal.shows("Enrolled with")
        assert await terminal.wait() == 0


async def test_a_second_person_is_invited_comes_and_is_taken_out(site, check):
    email = "grace@example.org"
    async with site.visit() as visit, site.visit(is_signed_in=False) as guest:
        page = visit.page
        await visit.go("/account")
        await page.get_by_role("link", name="People").click()
        await page.get_by_label("Their email").fill(email)
        await page.get_by_role("button", name="Make a link").click()
        link = (await page.locator("#link").inner_text()).strip()
        await check(visit, "person-invited")
        await guest.page.goto(link)
        await check(guest, "invitation")
        await new_password(guest.page, NEW)
        await guest.page.get_by_role("button", name="Accept").click()
        await guest.page.wait_for_url(guest.url + "/")
        await page.get_by_role("link", name="Done").click()
        await check(visit, "people")
        await page.get_by_role("link", name=f"Take out {email}").click()
        await check(visit, "person-remove")
        await page.get_by_role("button", name="Take them out").click()
        await page.get_by_role("status").filter(has_text="signed out everywhere").wait_for()
        await guest.go("/")
        assert "/sign-in" in guest.page.url

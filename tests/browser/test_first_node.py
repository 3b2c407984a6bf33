"""The path of somebody new: a fresh console, its first person, their machine, the first answer.

Its pictures, and what the terminal shows, are those of docs/first-node.md:

    .venv/bin/pytest tests/browser/test_first_node.py --screenshots docs/images
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

EMAIL, PASSWORD = "ada@example.org", "a long enough password"
PAGE, SCALE = {"width": 1100, "height": 690}, 0.85
MODEL = "smollm2-135m-instruct"
FIRST_DOWNLOAD_SECONDS = 900


def usual_port():
    """The one that readers of the pictures will see themselves, unless something has it here."""
    with closing(socket.socket()) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", 8700))
        except OSError:
            return 0
    return 8700


async def curl(url, key, question):
    """What the page says to type, typed."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 24}
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--show-error", f"{url}/v1/chat/completions"),
        *("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"),
        *("-d", json.dumps(body)),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    return json.loads(answer)


async def approve(page, machine, show):
    """The terminal's code typed, the fingerprint compared, the machine let in."""
    code = (await machine.shows(r"code\s+([B-Z]{4}-[B-Z]{4})"))[1]
    spoken = (await machine.shows(r"key\s+([0-9a-f]{4}(?:-[0-9a-f]{4}){3})"))[1]
    await page.get_by_role("link", name="Devices", exact=True).first.click()
    await page.get_by_label("Code", exact=True).fill(code)
    await page.get_by_role("button", name="Show the machine").click()
    assert await page.locator("#fingerprint").inner_text() == spoken
    await page.get_by_label("Name", exact=True).fill("workstation")
    await show("device")
    await page.get_by_role("button", name="Approve").click()
    await machine.shows("Enrolled with")
    assert await machine.wait() == 0
    await page.get_by_role("link", name="To the nodes").click()


async def make_key(page, show):
    """A key made in the page, which shows it once."""
    await page.get_by_role("link", name="API keys", exact=True).click()
    await page.get_by_role("link", name="New key").click()
    await page.get_by_label("Name", exact=True).fill("my laptop")
    await page.get_by_role("button", name="Make the key").click()
    key = (await page.locator("#new-key").inner_text()).strip()
    example = await page.locator("#example").inner_text()
    assert key.startswith("sk-byoi-")
    assert key in example
    assert MODEL in example
    for place in ("#new-key", "#example"):
        shown = (await page.locator(place).inner_text()).replace(key, "sk-byoi-…")
        await page.locator(place).evaluate("(place, text) => { place.textContent = text }", shown)
    await show("key")
    await page.get_by_role("link", name="Done").click()
    await page.get_by_text("my laptop").first.wait_for()
    await page.wait_for_load_state()
    assert key not in await page.content()
    return key


@pytest.mark.engine
@pytest.mark.timeout(FIRST_DOWNLOAD_SECONDS)
async def test_from_a_fresh_console_to_the_first_answer(
    fresh, chromium, visiting, terminal, pictures, pytestconfig
):
    is_for_docs = pytestconfig.getoption("--screenshots") is not None
    deployment = await fresh(port=usual_port() if is_for_docs else 0)
    program, state = deployment.programs / "byoi", ("--data-dir", deployment.folder / "node")
    setup_url = deployment.console.ready["setup_url"]
    assert setup_url in deployment.console.log.read_text()
    look = {"viewport": PAGE, "device_scale_factor": SCALE}
    async with visiting.visit(chromium, deployment.url, **look) as visit:
        page = visit.page

        async def show(name):
            await page.evaluate("scrollTo(0, 0)")
            await visiting.picture(page, pictures, f"first-node-{name}", full_page=False)

        await visiting.set_up(
            visit, setup_url, email=EMAIL, password=PASSWORD, before_sending=lambda: show("set-up")
        )
        await show("overview")
        enroll = ("enroll", "--console", deployment.url, "--no-browser", *state)
        async with terminal(program, *enroll, env=deployment.env) as machine:
            await approve(page, machine, show)
            machine.keep(pictures / "first-node-enroll.txt")

        row = page.get_by_role("row", name="workstation")
        await row.get_by_text("offline").wait_for()
        await page.evaluate("window.isTheSame = true")
        async with terminal(program, "run", *state, env=deployment.env) as machine:
            await row.get_by_text("online").wait_for()
            await row.get_by_text(MODEL).wait_for(timeout=FIRST_DOWNLOAD_SECONDS * 1000)
            assert await page.evaluate("window.isTheSame === true")
            await show("online")
            key = await make_key(page, show)
            answer = await curl(deployment.url, key, "What is the capital of France?")
            (pictures / "first-node-answer.json").write_text(json.dumps(answer, indent=2))
            assert "Paris" in answer["choices"][0]["message"]["content"]
            await page.get_by_role("link", name="Usage", exact=True).first.click()
            await page.wait_for_url("**/usage*")
            told = await page.locator("main").inner_text()
            for part in (MODEL, "workstation", "my laptop"):
                assert part in told
            assert str(answer["usage"]["completion_tokens"]) in told
            await show("usage")
            machine.process.terminate()
            assert await machine.wait() == 0
            machine.keep(pictures / "first-node-run.txt")

        await visit.go("/nodes")
        await row.get_by_text("offline").wait_for()


@pytest.mark.slow
async def test_the_link_of_the_first_administrator_serves_once(fresh, chromium, visiting):
    deployment = await fresh()
    setup_url = deployment.console.ready["setup_url"]
    async with visiting.visit(chromium, deployment.url) as visit:
        await visiting.set_up(visit, setup_url, email=EMAIL, password=PASSWORD)
    async with visiting.visit(chromium, deployment.url) as visit:
        visit.expect("status of 4")
        await visit.page.goto(setup_url)
        assert not await visit.page.locator("input[type=password]").count()
        await visit.go("/")
        assert await visit.heading() == "Sign in"

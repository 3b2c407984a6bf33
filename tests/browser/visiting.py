"""A person at a browser: contexts of one Chromium, and all that goes wrong in them."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 60_000
"""Within which any machine has shown what is waited for."""
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def program() -> str | None:
    """Chromium as the system has it: no test brings a browser of its own."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program(),
            # Continuous integration runs as root in a container, where the sandbox cannot.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """One browser context with one page; what its pages complained about is kept."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"script failed: {error}"))
        page.on("request", self._request)

    def expect(self, part: str) -> None:
        """A complaint that this test causes on purpose."""
        self.expected.append(part)

    def check(self) -> None:
        """Nothing was complained about, and nothing asked of anybody but the console."""
        left = [c for c in self.complaints if not any(part in c for part in self.expected)]
        assert not left, "\n".join(left)
        foreign = [url for url in self.requested if not self._is_ours(url)]
        assert not foreign, foreign

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def headed(self, words: str) -> None:
        """Wait for the page of that heading: a click may return before the next page is there."""
        await self.page.locator("h1", has_text=words).wait_for()
        await self.page.wait_for_load_state()

    async def heading(self) -> str:
        """Of the page that is there: for one that was gone to, not for what a click leads to."""
        return (await self.page.locator("h1").inner_text()).strip()

    def _is_ours(self, url: str) -> bool:
        return url.startswith("data:") or urlsplit(url).netloc == urlsplit(self.url).netloc

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def _request(self, request: Request) -> None:
        self.requested.append(request.url)


@asynccontextmanager
async def visit(browser: Browser, url: str, **options: Any) -> AsyncIterator[Visit]:
    """A fresh browser profile at `url`; at the end nothing must have gone wrong in it.

    The pages' own content security policy holds: nothing here bypasses it.
    """
    context = await browser.new_context(
        viewport=options.pop("viewport", DESKTOP), reduced_motion="reduce", **options
    )
    try:
        page = await context.new_page()
        visit = Visit(context, page, url)
        visit.watch(page)
        yield visit
        visit.check()
    finally:
        await context.close()


async def set_up(
    visit: Visit,
    setup_url: str,
    *,
    email: str,
    password: str,
    before_sending: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """The first administrator, by the link that the console printed at its first start."""
    page = visit.page
    await page.goto(setup_url)
    await page.get_by_label("Organisation").fill("Example")
    await page.get_by_label("Your email").fill(email)
    for field_of_password in await page.locator("input[type=password]").all():
        await field_of_password.fill(password)
    if before_sending is not None:
        await before_sending()
    await page.get_by_role("button", name="Create the account").click()
    await page.wait_for_url(visit.url + "/")


async def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds on the page as it is now, a line for each place.

    It is evaluated through the debugger's protocol, which the pages' policy does not bind.
    """
    await page.wait_for_load_state()
    await page.evaluate(axe)
    found = await page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", list(RULES)
    )
    return [
        f"{violation['id']} ({violation['help']}): {node['html'][:200]}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def picture(page: Page, folder: Path, name: str, *, full_page: bool = True) -> None:
    """A screenshot, of the whole page or of what fits into the window."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    file = folder / f"{name}.png"
    await page.screenshot(path=file, full_page=full_page, animations="disabled", caret="initial")

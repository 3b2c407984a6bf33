"""Steady clients, and the books that must add up whatever was done to the processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

FIELDS = ("prompt_tokens", "completion_tokens")
REFUSED_SECONDS = 0.3


@dataclass
class Asked:
    """One request of a client, and what came of it."""

    tokens: int
    stream: bool
    began_at: float
    ended_at: float = 0.0
    answer: object = None

    @property
    def request_id(self):
        return self.answer.headers.get("x-request-id")

    @property
    def is_complete(self):
        if self.stream:
            return self.answer.is_complete
        return self.answer.broken is None and self.answer.status == 200

    @property
    def usage(self):
        return self.answer.usage if self.stream else self.answer.json["usage"]

    @property
    def delivered(self):
        """Tokens that the client has seen; the stand-in engine says one a content event."""
        if self.answer.status != 200 or not self.stream:
            return self.tokens if self.is_complete else 0
        whole = self.answer.body.rpartition(b"\n\n")[0]
        return whole.count(b'"content": "') - whole.count(b'"content": ""')

    @property
    def verdict(self):
        """complete, error (one, in OpenAI's form), broken; anything else is a fault of ours."""
        answer = self.answer
        if answer.broken is not None:
            return "broken"
        if self.is_complete:
            return "complete"
        if answer.status == 200 and self.stream:
            is_one = len(answer.errors) == 1 and answer.data[-1] != "[DONE]"
            return "error" if is_one else f"neither whole nor an error: {answer.body[-300:]!r}"
        is_error = answer.status >= 500 and answer.json["error"]["message"]
        return "error" if is_error else f"{answer.status} {answer.body[:300]!r}"


@dataclass
class Traffic:
    """Clients that ask one question after the other, streaming and not."""

    deployment: object
    dice: random.Random
    clients: int = 4
    tokens: tuple[int, int] = (2, 12)
    pause_seconds: float = 0.05
    asked: list[Asked] = field(default_factory=list)
    _stop: bool = False
    _tasks: list[asyncio.Task] = field(default_factory=list)

    async def __aenter__(self):
        await self.deployment.model()
        self._tasks = [asyncio.create_task(self._client(n)) for n in range(self.clients)]
        return self

    async def __aexit__(self, *_):
        self._stop = True
        await asyncio.gather(*self._tasks)

    async def _client(self, number):
        while not self._stop:
            asked = await self.ask(f"client {number}")
            # A pace of its own, as clients have; nothing is waited for.
            await asyncio.sleep(self.pause_seconds if asked.is_complete else REFUSED_SECONDS)

    async def ask(self, prompt):
        stream = self.dice.random() < 0.7
        asked = Asked(self.dice.randint(*self.tokens), stream, time.monotonic())
        options = {"stream_options": {"include_usage": True}} if stream else {}
        asked.answer = await self.deployment.chat(
            prompt, stream=stream, max_tokens=asked.tokens, **options
        )
        asked.ended_at = time.monotonic()
        self.asked.append(asked)
        return asked

    async def go_on(self, more):
        """Until so many more answers were whole."""
        wanted = len(self.complete) + more

        async def are_enough():
            return len(self.complete) >= wanted

        await self.deployment.until(are_enough)

    @property
    def told(self):
        """One line a request, for whoever looks into a failure."""
        return [f"{one.began_at:10.1f} {one.ended_at:10.1f} {one.verdict}" for one in self.asked]

    @property
    def complete(self):
        return [asked for asked in self.asked if asked.is_complete]


class Books:
    """The ledger against what clients saw."""

    def __init__(self, deployment):
        self.deployment = deployment

    async def settled(self, asked=(), seconds=120.0):
        """The rows once nothing is in flight, none come any more, and whole answers have theirs."""
        before = None
        whole = {one.request_id for one in asked if one.is_complete}

        async def quiet():
            nonlocal before
            flying = sum(node["in_flight"] for node in await self.deployment.nodes())
            rows = await self.rows()
            written = {row["request_id"] for row in rows if row["claimed"]}
            is_quiet = not flying and rows == before and whole <= written and rows
            before = rows
            if not is_quiet:
                await asyncio.sleep(0.5)
            return is_quiet

        try:
            return await self.deployment.until(quiet, seconds)
        except TimeoutError:
            nodes, rows = await self.deployment.nodes(), await self.rows()
            missing = whole - {row["request_id"] for row in rows if row["claimed"]}
            raise AssertionError(f"not settled: {missing=} {nodes=} {rows[-20:]=}") from None

    async def rows(self):
        """All single rows, page by page."""
        found, after = [], ""
        while True:
            path = f"/api/usage/requests?limit=1000{after}"
            page = await self.deployment.admin("GET", path)
            found += page["rows"]
            if not page.get("next"):
                return found
            after = f"&after={page['next']}"

    async def check(self, asked, *, lost_with=()):
        """One row per attempt; whole answers cost what their clients were told, to the token.

        `lost_with` are spans of time in which the console was dead: what was not whole then may
        be known to nobody.
        """
        rows = await self.settled(asked)
        keys = [(row["request_id"], row["attempt"]) for row in rows]
        assert len(set(keys)) == len(keys)
        of = {}
        for row in rows:
            of.setdefault(row["request_id"], []).append(row)
        for one in asked:
            mine = of.get(one.request_id, [])
            if one.is_complete:
                _whole(one, mine)
            elif one.request_id and not _overlaps(one, lost_with):
                billed = sum(row["completion_tokens"] for row in mine)
                assert one.delivered <= billed <= one.tokens * len(mine), (one, mine)
        totals = await self.deployment.totals()
        for name in FIELDS:
            assert totals[name] == sum(row[name] for row in rows), name
        assert totals["requests"] == len(rows)
        return rows


def _whole(one, mine):
    (row,) = [row for row in mine if row["outcome"] == "complete" and not _is_given_up(row)]
    assert row["claimed"], row
    assert not row["has_difference"], row
    for name in FIELDS:
        assert row[name] == one.usage[name], (one, row)
    for other in mine:
        assert other is row or other["is_uncounted"] or not other["completion_tokens"], mine


def _is_given_up(row):
    """The node says complete, the console says that nobody got it."""
    return row["counted"] is not None and row["counted"]["outcome"] != "complete"


def _overlaps(one, spans):
    return any(one.began_at < end and one.ended_at > begin - 1.0 for begin, end in spans)


@pytest.fixture
def seed():
    """Printed, and taken from BYOI_CHAOS_SEED where that is set."""
    chosen = int(os.environ.get("BYOI_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"BYOI_CHAOS_SEED={chosen}")
    return chosen


@pytest.fixture
def traffic(deployment, seed):
    def make(**options):
        return Traffic(deployment, random.Random(seed), **options)

    return make


@pytest.fixture
def books(deployment):
    return Books(deployment)


@pytest.fixture
async def proxy_to(helper):
    """Make TCP proxies to an address; all are gone at the end."""
    proxies = []

    async def make(host, port, kind=None):
        proxy = (kind or helper("tcp_proxy").TcpProxy)(host, port)
        await proxy.start()
        proxies.append(proxy)
        return proxy

    yield make
    for proxy in proxies:
        await proxy.stop()


@pytest.fixture
def processes_of(deployment):
    """The ids of all that was started for this deployment, by whomever."""

    def find():
        marks = (str(deployment.folder), str(deployment.runtime))
        return {
            process.pid
            for process in psutil.process_iter()
            if any(mark in _words(process) for mark in marks)
        }

    return find


def _words(process):
    """How it was started; of a private process the environment is not ours to read."""
    words = ""
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            words = "\n".join(process.cmdline())
            words += "\n".join(process.environ().values())
    return words


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """All of this folder is of the slow lane."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)

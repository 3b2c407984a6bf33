"""Nodes, engines and the console killed at random, again and again, while clients go on asking."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time

import psutil
import pytest

SECONDS = float(os.environ.get("BYOI_CHAOS_SECONDS") or 20)
NODES = ("one", "two", "three")
PAUSES = (0.8, 2.5)
HALT_SECONDS = 120.0
KINDS = ("node",) * 4 + ("engine",) * 3 + ("console",)

pytestmark = pytest.mark.timeout(SECONDS + 900)


class Monkey:
    """Kills by the dice and starts again what it killed."""

    def __init__(self, deployment, dice):
        self.deployment = deployment
        self.dice = dice
        self.nodes = {}
        self.engines = {}
        self.console_deaths = []
        self.killed = []
        self._away = set()

    async def start(self):
        await self.deployment.start_console()
        for name in NODES:
            self.engines[name] = await self.deployment.start_fake_engine(
                f"engine-{name}", "--rate", "60"
            )
            self.nodes[name] = await self.deployment.start_node(name, *self._flags(name))

    async def run(self, seconds):
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as returns:
            while time.monotonic() < until:
                await asyncio.sleep(self.dice.uniform(*PAUSES))
                victim = (self.dice.choice(KINDS), self.dice.choice(NODES))
                victim = ("console", "") if victim[0] == "console" else victim
                away_seconds = self.dice.uniform(0, 1.5)
                if victim not in self._away:
                    self._away.add(victim)
                    returns.create_task(self._kill(*victim, away_seconds))

    async def _kill(self, kind, name, away_seconds):
        began = time.monotonic()
        await getattr(self, f"_kill_{kind}")(name, away_seconds)
        self.killed.append(f"{began:10.1f} {time.monotonic():10.1f} kill {kind} {name}")
        self._away.discard((kind, name))

    async def _kill_node(self, name, away_seconds):
        await _end(self.nodes[name])
        await asyncio.sleep(away_seconds)
        self.nodes[name] = await self.deployment.run_node(name, *self._flags(name), wait=False)

    async def _kill_engine(self, name, away_seconds):
        port = self.engines[name].ready["url"].rpartition(":")[2]
        await _end(self.engines[name])
        self.engines[name].log.unlink()
        await asyncio.sleep(away_seconds)
        self.engines[name] = await self.deployment.start_fake_engine(
            f"engine-{name}", "--rate", "60", "--port", port
        )

    async def _kill_console(self, _, away_seconds):
        began = time.monotonic()
        await _end(self.deployment.console)
        await asyncio.sleep(away_seconds)
        await self.deployment.start_console()
        self.console_deaths.append((began, time.monotonic()))

    def _flags(self, name):
        return ("--engine", self.engines[name].ready["url"])


async def _end(process):
    process.kill()
    await process.wait(HALT_SECONDS)


async def test_after_random_kills_the_books_add_up_and_everything_is_back(
    deployment, seed, traffic, books, processes_of
):
    monkey = Monkey(deployment, random.Random(seed))
    await monkey.start()
    async with traffic(clients=8, tokens=(3, 90)) as clients:
        await monkey.run(SECONDS)
    print("\n".join(sorted([*monkey.killed, *clients.told])))
    await everything_is_back(deployment, monkey)
    for one in clients.asked:
        near_death = any(
            one.began_at < end + 1 and one.ended_at > begin for begin, end in monkey.console_deaths
        )
        allowed = {"complete", "error", "broken"} if near_death else {"complete", "error"}
        assert one.verdict in allowed, one
    assert clients.complete
    await books.check(clients.asked, lost_with=monkey.console_deaths)

    async def idle():
        stats = [await deployment.engine_stats(engine) for engine in monkey.engines.values()]
        return not any(one["running"] for one in stats)

    await deployment.until(idle)
    alive = [deployment.console, *monkey.nodes.values(), *monkey.engines.values()]
    assert processes_of() == {process.pid for process in alive}
    assert all(psutil.pid_exists(process.pid) for process in alive)


async def everything_is_back(deployment, monkey):
    """The console says of every node what the node says of itself, and nothing is in flight."""

    async def agreed():
        listed = {node["id"]: node for node in await deployment.nodes()}
        assert len(listed) == len(NODES)
        for name in NODES:
            if (told := await status_of(deployment, name)) is None:
                return False
            shown = listed[told["node_id"]]
            flying = told["running"] + told["waiting"] + shown["in_flight"]
            is_same = told["is_serving"] and told["link"]["epoch"] == shown["epoch"]
            if flying or not is_same or shown["state"] != "online":
                return False
        return True

    await deployment.until(agreed, HALT_SECONDS)
    async with asyncio.timeout(HALT_SECONDS):
        answers = await asyncio.gather(*(deployment.chat(f"n {n}") for n in range(9)))
    assert all(answer.is_complete for answer in answers)


async def status_of(deployment, name):
    """None while it has only just been started."""
    data = deployment.folder / name
    asking = await deployment.start_program("byoi", "status", "--json", "--data-dir", data)
    told, _ = await asking.communicate()
    return json.loads(told) if asking.returncode == 0 else None

"""How long the machine takes to be its owner's again, and how long it takes to serve again.

    python benchmarks/reclaim.py                       # llama.cpp, 20 rounds, 8 streams
    python benchmarks/reclaim.py --engine vllm --rounds 5

A console, a node and a real engine run as an operator starts them. NVIDIA's driver is the tests'
stand-in (for vLLM it has a card only once the engine runs, which is one for a CPU): in each round
it lists a foreign process beside the engine's, which stays listed as long as it lives. Time begins
when the foreign process is listed; the end of all the engine's processes is seen from outside. Then
the foreign process goes, and one request waits for the first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from byoi_agent.hardware.host import memory_holders

if TYPE_CHECKING:
    from types import ModuleType

TESTS = Path(__file__).resolve().parent.parent / "tests"
GIB = 1024**3
PROMISE_SECONDS = 2.0
EMPTY_SECONDS = 16.0
"""Until the node looks again at a machine that had no card."""

CONFIG = """\
mode = "scheduled"

[idle]
return_minutes = 0

[[schedule.windows]]
since = "00:00"
until = "12:00"

[[schedule.windows]]
since = "12:00"
until = "00:00"
"""
"""Always open, so that a desktop in use on this very machine changes nothing."""


class Round(NamedTuple):
    """Seconds; all but the last from the moment at which the foreign process was listed.

    `told` is what the node says that it took, from when it saw the process.
    """

    memory_back: float
    streams_over: float
    told: float
    serves_again: float


def load(path: Path) -> ModuleType:
    """A helper of the tests."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Driver:
    """The stand-in for NVIDIA's, which lists an engine as long as its process lives."""

    def __init__(self, folder: Path) -> None:
        stand_in = load(TESTS / "fakes" / "nvml" / "stand_in.py")
        self._is_alive = load(TESTS / "system" / "deployment.py").is_alive
        self.library = stand_in.build(folder)
        self._card = stand_in.server(1)
        self._machine = stand_in.Machine(folder / "machine").shows(stand_in.driver(0))
        self.environment = self._machine.variables(self.library)
        self.engine: frozenset[int] = frozenset()
        self.foreign: int | None = None
        self._shown: str | None = None
        self._is_there = False

    def plug_in(self) -> None:
        """From now on there is a card; before, an engine for a CPU was chosen."""
        self._machine.shows(self._card)
        self._is_there = True

    def show(self) -> None:
        """As it is now."""
        if not self._is_there:
            return
        self.engine = frozenset(pid for pid in self.engine if self._is_alive(pid))
        foreign = () if self.foreign is None else (self.foreign,)
        listed = [f"{pid}:{GIB}" for pid in (*sorted(self.engine), *foreign)]
        if (shown := " ".join(listed)) != self._shown:
            self._shown = shown
            self._machine.set({"0.compute": shown, "0.memory_used": (1 + len(listed)) * GIB})

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.show()
            await asyncio.sleep(0.002)


class Bench:
    """A console, a node, its engine, and clients."""

    def __init__(self, deployment: Any, driver: Driver, streams: int) -> None:
        self._deployment = deployment
        self._driver = driver
        self._streams = streams
        self._node: Any = None

    async def start(self, engine: str) -> None:
        """Until the node serves."""
        deployment = self._deployment
        deployment.env |= self._driver.environment
        if engine != "vllm":
            self._driver.plug_in()
        await deployment.start_console()
        data = await deployment.enrol("node")
        (data / "config.toml").write_text(CONFIG)
        self._node = await deployment.run_node("node", "--engine", engine, seconds=300.0)
        await self._until_ready()
        await deployment.model()
        if engine == "vllm":  # where there was a card it would be one for CUDA
            self._driver.plug_in()
            await asyncio.sleep(EMPTY_SECONDS)

    async def status(self) -> dict[str, Any]:
        """As `byoi status --json` says."""
        data = self._deployment.folder / "node"
        told = await self._deployment.program("byoi", "status", "--json", "--data-dir", data)
        return json.loads(told)

    async def round(self, foreign: int) -> Round:
        """The owner comes, and goes."""
        await self._until_ready()
        self._driver.engine = memory_holders((await self.status())["engine"]["pid"])
        streams = [
            asyncio.create_task(self._deployment.chat("Tell a long story.", max_tokens=1500))
            for _ in range(self._streams)
        ]
        await asyncio.sleep(0.7)
        begun = time.monotonic()
        self._driver.foreign = foreign
        self._driver.show()
        while self._driver.engine:  # noqa: ASYNC110 it is looked at from outside
            await asyncio.sleep(0.001)
        back = time.monotonic() - begun
        await asyncio.gather(*streams)
        over = time.monotonic() - begun
        count, told = await self._told()
        self._driver.foreign = None
        gone = time.monotonic()
        while (await self._deployment.chat("Hello", max_tokens=1)).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert count
        return Round(back, over, told, time.monotonic() - gone)

    async def _told(self) -> tuple[int, float]:
        """What the node says of its last reclaim, once it has seen its end."""
        async with asyncio.timeout(40):
            while True:
                reclaims = (await self.status())["availability"]["reclaims"]
                if reclaims["count"] > getattr(self, "_count", 0):
                    self._count = reclaims["count"]
                    return reclaims["count"], reclaims["last_seconds"]

    async def _until_ready(self) -> None:
        async with asyncio.timeout(300):
            while True:
                told = await self.status()
                is_serving = told["availability"]["state"] == "serve"
                if is_serving and told["engine"]["pid"] and told["engine"]["state"] == "ready":
                    return
                await asyncio.sleep(0.1)


def table(rounds: list[Round]) -> str:
    """Half of the rounds, 99 of 100, and the longest: seconds."""
    names = {
        "memory_back": "foreign process listed → engine's memory back",
        "streams_over": "→ the last client's stream is over",
        "told": "what the node says of it (from when it saw the process)",
        "serves_again": "foreign process gone → first answer",
    }
    lines = ["| | p50 | p99 | longest |", "| --- | ---: | ---: | ---: |"]
    for name, words in names.items():
        seconds = sorted(getattr(one, name) for one in rounds)
        figures = (_rank(seconds, 0.5), _rank(seconds, 0.99), seconds[-1])
        lines.append(f"| {words} | " + " | ".join(f"{each:.2f} s" for each in figures) + " |")
    kept = sum(one.memory_back <= PROMISE_SECONDS for one in rounds)
    return "\n".join([*lines, "", f"{kept} of {len(rounds)} within {PROMISE_SECONDS:g} s"])


def _rank(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def measure(engine: str, rounds: int, streams: int) -> list[Round]:
    """All rounds, one after another."""
    deployments = load(TESTS / "system" / "deployment.py")
    with contextlib.ExitStack() as stack:
        folder, runtime = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp")))
            for _ in range(2)
        )
        foreign = stack.enter_context(
            subprocess.Popen(["sleep", "100000"], start_new_session=True)  # noqa: ASYNC220
        )
        stack.callback(foreign.kill)
        driver = Driver(folder)
        async with deployments.Deployment(folder, runtime) as deployment:
            bench = Bench(deployment, driver, streams)
            shown = asyncio.create_task(driver.run())
            try:
                await bench.start(engine)
                found = []
                for number in range(rounds):
                    found.append(await bench.round(foreign.pid))
                    print(f"{number + 1}: {found[-1]}", file=sys.stderr)
                return found
            finally:
                shown.cancel()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="llamacpp", choices=("llamacpp", "vllm"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--streams", type=int, default=8)
    given = parser.parse_args()
    print(table(asyncio.run(measure(given.engine, given.rounds, given.streams))))


if __name__ == "__main__":
    main()

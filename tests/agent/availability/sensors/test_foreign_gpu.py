from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from byoi_agent.availability.sensors.foreign_gpu import (
    AWAY_SECONDS,
    EMPTY_SECONDS,
    LOOK_SECONDS,
    ForeignGpu,
)
from byoi_agent.hardware.devices import GpuUses, Holder
from byoi_agent.telemetry.health import Health

GIB = 1024**3


class Clock:
    """Each sleep ends when the test says so."""

    def __init__(self):
        self.now, self.slept, self._sleeper = 0.0, [], None

    def monotonic(self):
        return self.now

    async def sleep_until(self, at):
        self.slept.append(round(at - self.now, 3))
        self._sleeper = asyncio.get_running_loop().create_future()
        await self._sleeper

    async def turn(self):
        """Until it sleeps the next time."""
        before = len(self.slept)
        if self._sleeper is not None:
            self._sleeper.set_result(None)
        while len(self.slept) == before:
            await asyncio.sleep(0.001)


class Watch:
    def __init__(self, **facts):
        self.clock, self.health, self.told = Clock(), Health(), []
        self.wanted = self.serving = self.matches = True
        self.sees = GpuUses((), {0: 0})
        self.sensor = ForeignGpu(
            self.told.append,
            is_wanted=lambda: self.wanted,
            is_serving=lambda: self.serving,
            clock=self.clock,
            health=self.health,
            **{"look": lambda: self.sees, "can_match": lambda: self.matches, **facts},
        )


@pytest.fixture
async def watch():
    tasks = []

    def make(**facts):
        made = Watch(**facts)
        tasks.append(asyncio.ensure_future(made.sensor.run()))
        return made

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
def stranger():
    """A process that nobody of ours started: a child of a child that has ended."""
    code = "import subprocess\nnull = subprocess.DEVNULL\n"
    code += (
        "p = subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=null, stderr=null)\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", code + "print(p.pid)"], check=True, capture_output=True, text=True
    )
    pid = int(made.stdout)
    yield pid
    os.kill(pid, 9)


async def test_a_foreign_process_is_told_once_and_once_that_it_has_gone(watch, stranger):
    it = watch()
    await it.clock.turn()
    assert it.told == []
    it.sees = GpuUses((Holder(0, stranger, 5),), {0: 5})
    await it.clock.turn()
    await it.clock.turn()
    ((use,),) = it.told
    assert (use.gpu, use.pid, use.name, use.memory_bytes) == (0, stranger, "sleep", 5)
    it.sees = GpuUses((), {0: 0})
    await it.clock.turn()
    assert it.told[1:] == [()]


async def test_ours_and_all_that_they_started_never_count(watch):
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        it = watch()
        it.sees = GpuUses((Holder(0, child.pid, GIB), Holder(0, os.getpid(), GIB)), {0: GIB})
        await it.clock.turn()
        assert it.told == []
    finally:
        child.kill()
        child.wait()


async def test_it_looks_often_while_it_serves_and_seldom_where_there_is_nothing(watch):
    it = watch()
    await it.clock.turn()
    it.serving = False
    await it.clock.turn()
    it.sees = GpuUses()
    await it.clock.turn()
    it.wanted = False
    await it.clock.turn()
    assert it.clock.slept == [LOOK_SECONDS, AWAY_SECONDS, EMPTY_SECONDS, AWAY_SECONDS]


async def test_where_it_is_not_wanted_nothing_is_held_against_the_node(watch, stranger):
    it = watch()
    it.sees = GpuUses((Holder(0, stranger, 5),), {0: 5})
    await it.clock.turn()
    it.wanted = False
    await it.clock.turn()
    assert it.told[-1] == ()


async def test_where_processes_cannot_be_matched_it_says_so_and_guesses_nothing(watch, stranger):
    it = watch()
    it.matches = False
    it.sees = GpuUses((Holder(0, stranger, 5),), {0: 5})
    await it.clock.turn()
    assert it.told == []
    assert "--pid=host" in it.health.warnings[0].mend
    it.sees = GpuUses()
    await it.clock.turn()
    assert it.health.warnings == ()


async def test_a_driver_that_hangs_changes_nothing_and_is_asked_again(watch, stranger):
    gate, hangs = threading.Event(), [False]
    uses = GpuUses((Holder(0, stranger, 5),), {0: 5})

    def look():
        if hangs[0]:
            gate.wait(60)
        return uses

    it = watch(look=look)
    await it.clock.turn()
    it.sensor._thread._seconds = 0.05  # not before: also one that answers may take as long
    hangs[0] = True
    await it.clock.turn()
    await it.clock.turn()
    assert len(it.told) == 1
    assert it.clock.slept[-1] == LOOK_SECONDS
    uses = GpuUses((), {0: 0})
    hangs[0] = False
    gate.set()
    while len(it.told) == 1:
        await it.clock.turn()
    assert it.told[-1] == ()

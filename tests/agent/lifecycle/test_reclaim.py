from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.engine.view import EngineView
from byoi_agent.hardware.devices import GpuUses, Holder
from byoi_agent.lifecycle import reclaim as reclaim_module
from byoi_agent.lifecycle.kept_reclaims import KeptReclaims
from byoi_agent.lifecycle.reclaim import COUNT_SECONDS, KILL_SECONDS, LEAST_SECONDS, Reclaimer
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.telemetry.health import Health
from byoi_wire.ids import NodeId

GIB = 1024**3
SERVE = AvailabilityView()
YIELD = AvailabilityView(state="yield", code="active")
DRAIN = AvailabilityView(state="drain", code="hot")


class Clock:
    """Time that passes as it is slept."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def wall(self):
        return 1_800_000_000.0

    async def sleep_until(self, at):
        self.now = max(self.now, at)
        await asyncio.sleep(0)


class Engines:
    """One engine, whose memory is back `takes` seconds after it was asked for."""

    def __init__(self, node):
        self.node = node
        self.view = EngineView("ready", "vllm", pid=10, key="engine", memory_bytes=8 * GIB)
        self.takes, self.keeps, self.back_at, self.is_lent = 0.5, 0, None, False

    @property
    def views(self):
        if self.back_at is not None and self.node.clock.now >= self.back_at:
            pid = self.view.pid if self.keeps else None
            self.view = replace(self.view, state="asleep", pid=pid)
        return () if self.is_lent else (self.view,)

    def release(self, within_seconds, by=None, *, last=()):
        self.node.log.append(("release", within_seconds, by, tuple(last)))
        if last:
            self.keeps = 0
        self.back_at = self.node.clock.now + (0 if last else self.takes)

    def come_back(self):
        self.node.log.append("come back")
        self.back_at, self.view = None, replace(self.view, state="ready", pid=10)


class Node:
    """A reclaimer and what the daemon puts around it; `log` is what it did, in order."""

    def __init__(self, folder, monkeypatch, availability=SERVE):
        monkeypatch.setattr(reclaim_module, "memory_holders", lambda pid: frozenset({pid, pid + 1}))
        monkeypatch.setattr(reclaim_module, "still_running", self.running)
        self.clock, self.health, self.log, self.told = Clock(), Health(), [], []
        self.engines, self.ago, self.is_idle = Engines(self), 0.0, asyncio.Event()
        self.kept = KeptReclaims(folder / "reclaims.json")
        view = NodeView(NodeId("node"), "1", availability=availability)
        self.board = Board(view)
        self.reclaimer = Reclaimer(
            board=self.board,
            door=self,
            engines=self.engines,
            uses=self.uses,
            caused_seconds_ago=lambda: self.ago,
            kept=self.kept,
            told=self.told.append,
            health=self.health,
            clock=self.clock,
        )

    def running(self, pids):
        view = self.engines.view
        return pids if view.pid else frozenset()

    def hand_back(self, reason):
        self.log.append(("hand back", reason))

    async def idle(self, engine=None):
        await self.is_idle.wait()

    async def uses(self):
        view = self.engines.view
        if view.state == "ready":
            return GpuUses((Holder(0, 11, 8 * GIB),), {0: 9 * GIB})
        return GpuUses((Holder(0, 11, self.engines.keeps),) if view.pid else (), {0: GIB})

    def becomes(self, availability):
        self.board.update(availability=availability)

    async def settled(self):
        for _ in range(4000):
            await asyncio.sleep(0)
            if self.reclaimer._taking is None:
                break
        await asyncio.sleep(0)

    @property
    def warnings(self):
        return [one.name for one in self.health.warnings]


@pytest.fixture
async def make(tmp_path, monkeypatch):
    tasks = []

    def make(availability=SERVE):
        node = Node(tmp_path, monkeypatch, availability)
        tasks.append(asyncio.ensure_future(node.reclaimer.run()))
        return node

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_in_the_turn_of_the_decision_all_is_handed_back_and_released(make):
    node = make()
    node.becomes(YIELD)
    by = node.clock.now + KILL_SECONDS
    assert node.log == [("hand back", "active"), ("release", COUNT_SECONDS, by, ())]


async def test_the_time_runs_from_the_cause_until_the_memory_is_seen(make):
    node = make()
    node.ago = 0.4
    node.becomes(YIELD)
    await node.settled()
    (one,) = node.kept.all.kept
    assert (one.cause, one.is_kept, one.slowest) == ("active", True, "engine")
    assert one.seconds == pytest.approx(0.9, abs=0.05)
    assert node.told[-1].last_seconds == pytest.approx(0.9, abs=0.05)
    assert node.warnings == []


async def test_a_cause_that_is_told_late_leaves_less_time(make):
    node = make()
    node.ago = 1.5
    node.becomes(YIELD)
    assert node.log[1] == ("release", COUNT_SECONDS, node.clock.now + LEAST_SECONDS, ())


async def test_an_engine_that_sleeps_and_keeps_its_memory_is_ended(make):
    node = make()
    node.engines.keeps = 6 * GIB
    node.becomes(YIELD)
    await node.settled()
    assert [entry[3] for entry in node.log[1:]] == [(), ("engine",)]
    (one,) = node.kept.all.kept
    assert one.is_kept
    assert one.seconds == pytest.approx(KILL_SECONDS, abs=0.1)


async def test_what_is_lent_to_the_owner_meanwhile_is_no_broken_promise(make):
    node = make()
    node.becomes(YIELD)
    node.engines.is_lent = True
    await node.settled()
    assert (node.kept.all.kept, node.warnings, len(node.log)) == ((), [], 2)


async def test_a_broken_promise_is_told_with_what_took_so_long_until_it_is_kept_again(make):
    node = make()
    node.engines.takes = 3.0
    node.engines.release = lambda *_, **__: setattr(node.engines, "back_at", node.clock.now + 3.0)
    node.becomes(YIELD)
    node.engines.release = lambda *_, **__: None
    await node.settled()
    assert node.warnings == ["reclaim-late"]
    assert "longest took engine" in node.health.warnings[0].text
    node.becomes(SERVE)
    del node.engines.release
    node.engines.takes = 0.1
    node.becomes(YIELD)
    await node.settled()
    assert node.warnings == []
    assert [one.is_kept for one in node.kept.all.kept] == [False, True]


async def test_memory_that_never_comes_back_is_told_as_such(make):
    node = make()
    node.engines.release = lambda *_, **__: None
    node.becomes(YIELD)
    await node.settled()
    (one,) = node.kept.all.kept
    assert (one.is_back, one.is_kept) == (False, False)
    assert "had not ended" in node.health.warnings[0].text


async def test_an_owner_who_leaves_at_once_breaks_it_off(make):
    node = make()
    node.becomes(YIELD)
    node.becomes(SERVE)
    await node.settled()
    assert node.log[-1] == "come back"
    assert node.kept.all.kept == ()
    node.becomes(YIELD)
    await asyncio.sleep(0)
    node.becomes(SERVE)
    await node.settled()
    assert node.kept.all.kept == ()


async def test_another_reason_of_the_same_kind_is_no_news(make):
    node = make()
    node.becomes(YIELD)
    await node.settled()
    before = list(node.log)
    node.becomes(replace(YIELD, code="foreign_gpu"))
    await node.settled()
    assert node.log == before


async def test_what_runs_may_end_before_the_memory_goes_where_it_drains(make):
    node = make()
    node.becomes(DRAIN)
    await asyncio.sleep(0.01)
    assert node.log == []
    node.is_idle.set()
    async with asyncio.timeout(60):
        while not node.log:
            await asyncio.sleep(0)
    assert [entry[0] for entry in node.log] == ["release"]
    assert node.kept.all.kept == ()  # nobody waited for it


async def test_an_owner_who_comes_while_it_drains_does_not_wait(make):
    node = make()
    node.becomes(DRAIN)
    await asyncio.sleep(0)
    node.becomes(YIELD)
    assert node.log[0] == ("hand back", "active")


async def test_a_node_that_held_nothing_counts_nothing(make):
    node = make()
    node.engines.view = replace(node.engines.view, state="stopped", pid=None)
    node.becomes(YIELD)
    await asyncio.sleep(0.01)
    assert node.kept.all.kept == ()


async def test_a_node_that_begins_paused_starts_nothing(make):
    node = make(YIELD)
    assert node.log == [("release", 0.0, None, ())]
    node.becomes(SERVE)
    assert node.log[-1] == "come back"


async def test_while_the_driver_hangs_it_is_waited_for(make):
    node = make()
    looks = iter([await node.uses(), None, None])
    real = node.uses

    async def uses():
        found = next(looks, 0)
        return await real() if found == 0 else found

    node.reclaimer._uses = uses
    node.becomes(YIELD)
    await node.settled()
    assert node.kept.all.kept[0].is_kept


async def test_a_server_that_is_not_ours_is_timed_by_its_own_word_and_never_ended(make):
    node = make()
    node.engines.view = replace(node.engines.view, pid=None, kind="attached", lends=True)
    node.engines.takes = 1.5
    node.becomes(YIELD)
    await node.settled()
    (one,) = node.kept.all.kept
    assert (one.is_back, one.is_kept, one.is_told, one.slowest) == (True, True, True, "engine")
    assert one.seconds == pytest.approx(1.5, abs=0.05)
    assert not any(entry[3] for entry in node.log if entry[0] == "release")
    assert node.told[-1].last_is_told


async def test_a_server_that_is_not_ours_and_does_not_obey_is_told_as_late(make):
    node = make()
    node.engines.view = replace(node.engines.view, pid=None, kind="attached", lends=True)
    node.engines.takes = 100.0
    node.becomes(YIELD)
    await node.settled()
    (one,) = node.kept.all.kept
    assert not one.is_back
    assert node.warnings == ["reclaim-late"]


async def test_who_may_keep_the_model_of_such_a_server_loaded_is_said(make):
    node = make()
    node.engines.view = replace(node.engines.view, pid=None, kind="attached", lends=True)
    node.engines.takes = 100.0
    node.becomes(YIELD)
    await node.settled()
    (warning,) = node.health.warnings
    assert "somebody else uses its model there" in warning.text
    assert "byoi logs" not in warning.mend


@pytest.mark.parametrize("state", ["starting", "backing_off", "failed", "stopped"])
async def test_a_server_that_is_off_has_nothing_to_give_back(make, state):
    node = make()
    node.engines.view = replace(
        node.engines.view, state=state, pid=None, kind="attached", lends=True
    )
    node.engines.takes = 100.0
    node.becomes(YIELD)
    await node.settled()
    assert (node.kept.all.kept, node.warnings) == ((), [])


@pytest.mark.parametrize("state", ["ready", "suspect", "draining"])
async def test_a_server_that_was_there_a_moment_ago_is_waited_for(make, state):
    node = make()
    node.engines.view = replace(
        node.engines.view, state=state, pid=None, kind="attached", lends=True
    )
    node.becomes(YIELD)
    await node.settled()
    assert node.kept.all.kept[0].is_kept


async def test_a_server_that_can_give_nothing_back_is_not_timed(make):
    node = make()
    node.engines.view = replace(node.engines.view, pid=None, kind="attached")
    node.becomes(YIELD)
    await node.settled()
    assert node.kept.all.kept == ()

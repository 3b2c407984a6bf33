from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.config.tables import AdapterSetting
from byoi_agent.engine.entries import Entry
from byoi_agent.engine.pooled import PooledEngine
from byoi_agent.engine.view import EngineView


class Supervisor:
    """An engine that is ready as long as it runs."""

    def __init__(self, entry, publish, starts):
        self.kind, self.client, self._publish = entry.kind, object(), publish
        self.view = EngineView("stopped", entry.kind.name)
        self.starts, self.told = starts, []

    def suspect(self, reason):
        self.told.append(reason)

    def adapt(self, adapters):
        self.told.append(adapters)
        return True

    def sleep(self, within_seconds):
        self.told.append(f"sleep within {within_seconds:g} s")

    def stop(self, within_seconds):
        self.told.append(f"stop within {within_seconds:g} s")

    def start(self):
        self.told.append("start")

    def show(self, state):
        self.view = EngineView(state, self.kind.name)
        self._publish(self.view)

    async def run(self):
        self.show("ready")
        try:
            await asyncio.Event().wait()
        finally:
            self.show("stopped")


def kind(name, edition=0, is_standing=True):
    """An entry whose engine is of that kind."""
    made = SimpleNamespace(name=name)
    return Entry("engine", made, None, edition=edition, is_standing=is_standing)


class Node:
    """What the daemon puts around it: requests that a test ends, and every view published."""

    def __init__(self, first):
        self.supervisors, self.views = [], []
        self.is_idle, self.published = asyncio.Event(), asyncio.Event()
        self.engine = PooledEngine(
            first,
            supervise=self._supervise,
            publish=self._publish,
            idle=self.is_idle.wait,
        )

    def _supervise(self, chosen, publish, *, starts):
        self.supervisors.append(Supervisor(chosen, publish, starts))
        return self.supervisors[-1]

    def _publish(self, view):
        self.views.append((view.kind, view.state))
        self.published.set()

    async def until(self, *seen):
        async with asyncio.timeout(60):
            while seen not in self.views:
                self.published.clear()
                await self.published.wait()


@pytest.fixture
async def node():
    node = Node(kind("old"))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(node.engine.run())
        await node.until("old", "ready")
        yield node
        task.cancel()


async def test_it_is_the_engine_that_serves(node):
    (only,) = node.supervisors
    node.engine.suspect("silence")
    assert (node.engine.kind.name, node.engine.client) == ("old", only.client)
    assert only.told == ["silence"]
    assert node.engine.supervisor is only


async def test_another_begins_once_the_old_ones_requests_have_ended_and_it_is_gone(node):
    node.engine.change_to(kind("new"))
    assert node.engine.view.state == "draining"
    node.supervisors[0].show("ready")  # its own news do not open the door again
    assert node.views[-1] == ("old", "draining")
    assert len(node.supervisors) == 1
    node.is_idle.set()
    await node.until("new", "ready")
    assert node.supervisors[0].view.state == "stopped"
    assert node.views.index(("new", "stopped")) < node.views.index(("new", "ready"))
    assert node.engine.kind.name == "new"


async def test_of_several_changes_the_last_one_wins(node):
    node.engine.change_to(kind("middle"))
    node.engine.change_to(kind("new"))
    node.is_idle.set()
    await node.until("new", "ready")
    assert [supervisor.kind.name for supervisor in node.supervisors] == ["old", "new"]


async def test_it_can_change_again(node):
    node.is_idle.set()
    for name in ("second", "third"):
        node.engine.change_to(kind(name))
        await node.until(name, "ready")


async def test_nothing_runs_when_it_is_cancelled_in_the_middle_of_a_change():
    node = Node(kind("old"))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(node.engine.run())
        await node.until("old", "ready")
        node.engine.change_to(kind("new"))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert [supervisor.view.state for supervisor in node.supervisors] == ["stopped"]


async def test_the_owners_orders_go_to_the_engine_that_serves_now(node):
    node.engine.change_to(kind("new"))
    node.is_idle.set()
    await node.until("new", "ready")
    node.engine.sleep(5.0)
    node.engine.wake()
    assert [supervisor.told for supervisor in node.supervisors] == [
        [],
        ["sleep within 5 s", "start"],
    ]


@pytest.mark.parametrize("is_woken", [False, True])
async def test_what_its_owner_wants_while_engines_change_holds_for_the_one_that_comes(
    node, is_woken
):
    node.engine.change_to(kind("new"))
    node.engine.sleep(5.0)
    if is_woken:
        node.engine.wake()
    node.is_idle.set()
    await node.until("new", "ready")  # as any is here that runs
    assert node.supervisors[0].told == ["sleep within 5 s"]
    assert node.supervisors[1].starts is is_woken


async def test_one_that_comes_to_a_place_that_sleeps_serves_when_it_is_woken(node):
    node.engine.change_to(kind("new"), starts=False)
    node.is_idle.set()
    await node.until("new", "ready")  # as any is here that runs
    node.engine.wake()
    assert (node.supervisors[1].starts, node.supervisors[1].told) == (False, ["start"])


async def test_adapters_go_to_the_engine_unless_another_takes_its_place(node):
    assert node.engine.adapt(("pirate",))
    assert node.supervisors[0].told == [("pirate",)]
    node.engine.change_to(kind("new"))
    assert not node.engine.adapt(())


async def test_one_that_shares_memory_starts_when_it_is_loaded(node):
    shared = Node(kind("old", is_standing=False))
    assert not shared.supervisors[0].starts
    shared.engine.load(kind("old", is_standing=False))
    shared.engine.unload("sleep", 5.0)
    shared.engine.unload("stop", 6.0)
    told = ["start", "sleep within 5 s", "stop within 6 s"]
    assert (shared.supervisors[0].told, node.supervisors[0].starts) == (told, True)


async def test_another_edition_is_loaded_in_the_old_ones_place(node):
    new = kind("new", edition=1)
    node.engine.load(new)
    assert node.engine.entry == new
    node.engine.unload("stop", 1.0)  # before it was even there
    node.engine.load(new)
    node.is_idle.set()
    await node.until("new", "ready")
    assert (node.supervisors[0].told, node.supervisors[1].starts) == ([], True)


async def test_the_owner_may_think_otherwise_of_the_same_engine(node):
    node.engine.keep(replace(kind("old"), priority=7))
    assert node.engine.view.priority == 7
    node.engine.change_to(kind("new", edition=1))
    node.engine.keep(replace(kind("new", edition=1), priority=8))
    node.is_idle.set()
    await node.until("new", "ready")
    assert node.engine.view.priority == 8


async def test_adapters_are_looked_at_again_when_settings_are_since_one_may_be_mended(node):
    pirate = AdapterSetting(name="pirate", path=Path("/a/pirate"))
    node.engine.keep(replace(kind("old"), adapters=(pirate,)))
    node.engine.keep(kind("old"))
    assert node.supervisors[0].told == [(pirate,)]

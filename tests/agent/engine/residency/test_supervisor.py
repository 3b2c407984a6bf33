from __future__ import annotations

import asyncio

import pytest

from byoi_agent.engine.residency import machine as m
from byoi_agent.engine.residency import resident as r
from byoi_agent.engine.residency.supervisor import Residency
from byoi_agent.engine.view import EngineView


class Clock:
    def __init__(self):
        self.now, self.sleepers = 1000.0, []

    def monotonic(self):
        return self.now

    async def sleep_until(self, at):
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((at, future))
        await future

    async def pass_to(self, at):
        self.now = at
        for until, future in self.sleepers:
            if until <= at and not future.done():
                future.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)


class Node:
    """A residency, what it ordered, and how often it had news."""

    def __init__(self):
        self.clock, self.orders, self.news = Clock(), [], 0
        self.on_news = lambda: None
        self.residency = Residency(
            clock=self.clock,
            load=lambda key: self.orders.append(("load", key)),
            unload=lambda key, how, seconds: self.orders.append((how, key, seconds)),
            publish=self._publish,
            limits=m.Limits(),
        )

    def _publish(self):
        self.news += 1
        self.on_news()

    def configure(self, *keys, memory=10, **facts):
        models = tuple(r.Model(key, {"memory": 10}, **facts) for key in keys)
        self.residency.tell(m.Configured(models, {"memory": memory}))

    def place(self, key):
        return self.residency.of(key).place

    def hear(self, key, state, **facts):
        self.residency.hear(key, EngineView(state, "fake", **facts))


@pytest.fixture
def node():
    return Node()


def test_engines_get_orders_and_their_news_are_heard(node):
    node.configure("a")
    node.residency.tell(m.Demanded("a", 0, 1))
    assert node.orders == [("load", "a")]
    node.hear("a", "stopped")  # what it was before the order
    node.clock.now += 2
    node.hear("a", "ready")
    assert node.place("a") == r.Loaded(1002.0)
    node.residency.tell(m.Held("a", 3.0))
    assert node.orders[-1] == ("stop", "a", 3.0)
    node.hear("a", "draining")
    node.hear("a", "stopped")
    assert node.place("a") == r.Out()
    assert node.residency.keys == ("a",)


def test_the_middle_of_the_last_loads_is_what_one_takes(node):
    node.configure("a", loads_at_start=True)
    assert node.residency.load_seconds("a") is None
    for seconds in (3.0, 9.0, 5.0):
        node.clock.now += seconds
        node.hear("a", "ready")
        node.residency.tell(m.Held("a", 0.0))
        node.hear("a", "stopped")
        node.residency.tell(m.Released("a"))
    assert node.residency.load_seconds("a") == 5.0


@pytest.mark.parametrize(("state", "until"), [("backing_off", 1001.0), ("failed", None)])
def test_an_engine_that_breaks_is_ended_and_waited_for(node, state, until):
    node.configure("a", loads_at_start=True)
    node.hear("a", state, reason="no memory")
    assert node.orders[-1] == ("stop", "a", 0.0)
    node.hear("a", "failed" if until is None else "stopped")
    assert node.place("a") == r.Failed("no memory", until)


def test_a_sleeper_has_a_process_and_is_out_without(node):
    node.configure("a", asleep={}, loads_at_start=True)
    node.hear("a", "ready")
    node.residency.tell(m.Held("a", 0.0))
    assert node.orders[-1][0] == "sleep"
    node.hear("a", "asleep", pid=7)
    assert node.place("a") == r.Asleep()
    node.hear("a", "asleep", pid=7)
    assert node.place("a") == r.Asleep()
    node.hear("a", "asleep")
    assert node.place("a") == r.Out()


def test_news_of_an_engine_that_is_not_its_are_none(node):
    node.hear("nobody", "ready")
    assert node.news == 0


def test_what_is_told_while_it_tells_has_its_turn_after(node):
    seen = []

    def on_news():
        seen.append(len(node.orders))
        if len(seen) == 1:
            node.residency.tell(m.Demanded("a", 0, 1))
            assert node.orders == []

    node.on_news = on_news
    node.configure("a")
    assert node.orders == [("load", "a")]


async def test_it_keeps_the_time_that_was_asked_for(node):
    node.configure("a", loads_at_start=True, idle_unload_seconds=60.0)
    node.hear("a", "ready")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(node.residency.run())
        await node.clock.pass_to(1030.0)
        node.residency.tell(m.Demanded("a", 1, 0))
        node.residency.tell(m.Demanded("a", 0, 0))
        await node.clock.pass_to(1089.0)
        assert node.place("a") == r.Loaded(1000.0)
        await node.clock.pass_to(1090.0)
        assert node.orders[-1] == ("stop", "a", 30.0)
        task.cancel()
    node.hear("a", "stopped")
    assert node.place("a") == r.Out()


def test_what_changes_is_in_the_log(node, caplog):
    caplog.set_level("INFO")
    node.configure("a", "b", memory=15)
    node.residency.tell(m.Demanded("a", 0, 1))
    node.hear("a", "backing_off")
    node.hear("a", "stopped")
    node.configure("a", memory=5)
    told = [(record.message, getattr(record, "model", None)) for record in caplog.records]
    assert ("model loads", "a") in told
    assert told.count(("model cannot be loaded", "a")) == 1
    assert caplog.records[-1].reason == "it ended"


def test_leaving_is_in_the_log(node, caplog):
    caplog.set_level("INFO")
    node.configure("a", loads_at_start=True)
    node.hear("a", "ready")
    node.residency.tell(m.Held("a", 0.0))
    assert caplog.records[-1].message == "model leaves the memory"

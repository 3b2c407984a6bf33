from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from byoi_agent.engine.pool import EnginePool
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_wire.ids import ModelId


class Supervisor:
    """An engine that is ready as long as it runs."""

    def __init__(self, kind, publish):
        self.kind, self.client, self._publish = kind, object(), publish
        self.view = EngineView("stopped", kind.name)
        self.told = []

    def sleep(self, within_seconds):
        self.told.append(("sleep", within_seconds))

    def start(self):
        self.told.append(("start",))

    async def run(self):
        model = ServedModel(ModelId(self.kind.name), self.kind.name, ())
        self.view = EngineView("ready", self.kind.name, (model,))
        self._publish(self.view)
        await asyncio.Event().wait()


@pytest.fixture
async def pool():
    supervisors, views, ready = [], [], asyncio.Event()

    def supervise(kind, publish):
        supervisors.append(Supervisor(kind, publish))
        return supervisors[-1]

    def publish(view):
        views.append(view)
        ready.set()

    async def idle(_key):
        return

    pool = EnginePool(SimpleNamespace(name="old"), supervise=supervise, publish=publish, idle=idle)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pool.run())
        await ready.wait()
        yield SimpleNamespace(pool=pool, supervisors=supervisors, views=views, news=ready)
        task.cancel()


async def test_the_one_engine_has_every_model(pool):
    engine = pool.pool.engine_for(ModelId("any"))
    assert (engine.key, engine.kind.name) == ("engine", "old")
    assert pool.pool.views == (pool.pool.view,)
    assert pool.pool.view.key == "engine"
    pool.pool.demand("engine", 1, 2)
    assert pool.supervisors[0].told == []


async def test_orders_go_to_it(pool):
    pool.pool.sleep(5.0)
    pool.pool.wake()
    assert pool.supervisors[0].told == [("sleep", 5.0), ("start",)]


async def test_it_changes(pool):
    assert pool.pool.kind.name == "old"
    pool.news.clear()
    pool.pool.change_to(SimpleNamespace(name="new"))
    async with asyncio.timeout(5):
        while pool.pool.view.kind != "new" or pool.pool.view.state != "ready":
            pool.news.clear()
            await pool.news.wait()
    assert pool.views[-1].kind == "new"

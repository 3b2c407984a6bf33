from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.engine.entries import ONLY, Entry
from byoi_agent.engine.pool import EnginePool
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.devices import DeviceReading
from byoi_wire.ids import ModelId

GIB = 1024**3


def kind(name, adapters=()):
    models = tuple(ServedModel(ModelId(each), each, ()) for each in (name, *adapters))
    return SimpleNamespace(
        name="fake",
        version="1",
        slots=4,
        offers=models,
        weight_bytes=GIB,
        uses_gpus=0,
        can_sleep=False,
    )


def entry(name, **facts):
    """A model of 6 GiB, of which the node has room for one."""
    made = Entry(name, kind(name), Settings(model=name), memory_bytes=6 * GIB)
    return replace(made, **facts)


def only(name, **facts):
    return Entry(ONLY, kind(name), Settings(model=name), is_standing=True, **facts)


class Supervisor:
    """An engine that does what a test says, or at once where it `obeys`."""

    def __init__(self, entry, publish, starts):
        self.kind, self.client, self._publish, self.starts = entry.kind, object(), publish, starts
        self.view = EngineView("stopped", entry.kind.name)
        self.told, self.is_running, self.adapts = [], False, True

    def show(self, state, **facts):
        models = self.kind.offers if state == "ready" else ()
        self.view = EngineView(state, self.kind.name, models, slots=4, **facts)
        self._publish(self.view)

    def start(self):
        self.told.append("start")
        self.show("ready")

    def stop(self, within_seconds):
        self.told.append("stop")
        self.show("stopped")

    def sleep(self, within_seconds):
        self.told.append(("sleep", within_seconds))

    def release(self, within_seconds, by, *, is_last=False):
        self.told.append(("end" if is_last else "release", within_seconds, by))
        self.show("stopped" if is_last else "asleep")

    def suspect(self, reason):
        self.told.append(reason)

    def adapt(self, adapters):
        if self.adapts:
            self.kind.offers = kind(self.kind.offers[0].id, [each.name for each in adapters]).offers
        return self.adapts

    async def run(self):
        self.is_running = True
        if self.starts:
            self.show("ready")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.is_running = False


class Clock:
    seconds = 0.0

    def monotonic(self):
        return 1000.0

    def wall(self):
        return 1_800_000_000.4 + self.seconds

    async def sleep_until(self, at):
        await asyncio.get_running_loop().create_future()


class Node:
    """A pool and what the daemon puts around it."""

    def __init__(self, *entries, memory=10 * GIB, **facts):
        self.made, self.views = {}, []
        self.clock = Clock()
        self.is_idle = asyncio.Event()
        self.is_idle.set()
        self.pool = EnginePool(
            entries,
            supervise=self._supervise,
            publish=self.views.append,
            idle=lambda _key: self.is_idle.wait(),
            clock=self.clock,
            **facts,
        )
        self.memory = memory

    def _supervise(self, entry, publish, *, starts):
        self.made.setdefault(entry.key, []).append(Supervisor(entry, publish, starts))
        return self.made[entry.key][-1]

    def engine(self, key):
        return self.made[key][-1]

    def states(self):
        return {view.key: view.state for view in self.pool.views}


@pytest.fixture
async def run():
    """Run a node until the test is over."""
    tasks = []

    async def run(*entries, **facts):
        node = Node(*entries, **facts)
        tasks.append(asyncio.ensure_future(node.pool.run()))
        await turns()
        node.pool.resources((), int(node.memory / 0.75))
        return node

    yield run
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_one_engine_has_every_model_and_starts_with_the_node(run):
    node = await run(only("a"))
    engine = node.pool.engine_for(ModelId("any"))
    assert (engine.key, node.pool.view.state, node.pool.view.key) == (ONLY, "ready", ONLY)
    node.pool.demand(ONLY, 1, 2)
    node.pool.sleep(5.0)
    node.pool.wake()
    assert node.engine(ONLY).told == [("sleep", 5.0), "start"]


async def test_nothing_is_loaded_before_somebody_asks(run):
    node = await run(entry("a"), entry("b"))
    assert node.states() == {"a": "stopped", "b": "stopped"}
    assert node.pool.view.state == "ready"
    assert [model.is_loaded for model in node.pool.view.models] == [False, False]
    node.pool.demand("b", 0, 1)
    assert node.states() == {"a": "stopped", "b": "ready"}
    assert node.pool.engine_for(ModelId("a")).key == "a"
    assert node.pool.engine_for(ModelId("none")) is None
    assert node.pool.views[1].used_at == 1_800_000_000


async def test_of_each_it_is_known_since_when_it_is_what_it_is(run):
    node = await run(entry("a"), entry("b"))
    node.clock.seconds = 60.0
    node.pool.demand("b", 0, 1)
    node.clock.seconds = 90.0
    node.pool.demand("b", 1, 0)
    assert [view.since - Clock().wall() // 1 for view in node.pool.views] == [0, 60]


async def test_what_is_asked_for_before_the_memory_is_known_is_loaded_then():
    node = Node(entry("a"))
    node.pool.demand("a", 0, 1)
    assert node.states() == {"a": "stopped"}
    node.pool.resources((), 20 * GIB)
    assert node.states() == {"a": "ready"}


async def test_of_several_requests_the_residency_hears_of_the_first_and_the_last(run):
    node = await run(entry("a"))
    node.pool.demand("a", 0, 1)
    seen = len(node.views)
    node.pool.demand("a", 1, 0)
    told = len(node.views)
    node.pool.demand("a", 2, 0)
    assert seen < told == len(node.views)


async def test_a_gpu_that_cannot_be_read_for_a_while_is_still_there(run):
    pinned = entry("a", gpus=(0,), loads_at_start=True)
    pinned.kind.uses_gpus = 1
    node = await run(pinned)
    assert node.states() == {"a": "failed"}  # of GPU 0 there is nothing yet
    card = DeviceReading(0, "nvidia", "L4", memory_total_bytes=24 * GIB)
    node.pool.resources([card], 20 * GIB)
    assert node.states() == {"a": "ready"}
    node.pool.resources([], 20 * GIB)
    assert (node.states(), node.engine("a").told) == ({"a": "ready"}, ["start"])


async def test_while_another_program_holds_a_gpu_no_model_is_loaded_beside_it(run):
    held = {}
    pinned = entry("a", gpus=(0,), loads_at_start=True)
    pinned.kind.uses_gpus = 1
    node = await run(pinned, others=lambda devices: dict(held))
    card = DeviceReading(0, "nvidia", "L4", memory_total_bytes=24 * GIB)
    held[0] = 20 * GIB
    node.pool.resources([card], int(node.memory / 0.75))
    [view] = node.pool.views
    assert (view.state, node.pool.view.models) == ("failed", ())
    assert "6.0 GiB of GPU 0, of which other programs leave 4.0 GiB" in view.reason
    held.clear()
    node.pool.resources([card], int(node.memory / 0.75))
    assert node.states() == {"a": "ready"}
    held[0] = 20 * GIB  # it has its memory: the other program came second
    node.pool.resources([card], int(node.memory / 0.75))
    assert node.states() == {"a": "ready"}


async def test_models_whose_owner_names_no_gpus_get_different_ones(run):
    two = [entry(name, loads_at_start=True, memory_bytes=9 * GIB) for name in ("a", "b")]
    for each in two:
        each.kind.uses_gpus = 1
    cards = [
        DeviceReading(index, "nvidia", "L4", memory_total_bytes=12 * GIB, memory_used_bytes=0)
        for index in range(3)
    ]
    node = await run(*two)
    assert node.states() == {"a": "failed", "b": "failed"}
    node.pool.resources(cards, 20 * GIB)
    assert node.states() == {"a": "ready", "b": "ready"}
    assert [node.pool.gpus_of(each) for each in two] == [(0,), (1,)]
    used = [replace(card, memory_used_bytes=9 * GIB) for card in cards[:2]]
    node.pool.resources([*used, cards[2]], 20 * GIB)
    late = entry("c", gpus=(2,))
    later = entry("d")
    later.kind.uses_gpus = 1
    node.pool.change_to([later, late, *two])
    assert [node.pool.gpus_of(each) for each in (*two, late)] == [(0,), (1,), (2,)]
    assert node.states()["a"] == node.states()["b"] == "ready", "nobody moves for another"


async def test_its_owner_puts_one_model_to_sleep_and_wakes_it(run):
    node = await run(entry("a", loads_at_start=True), entry("b"))
    node.pool.sleep(5.0, "a")
    assert node.engine("a").told == ["start", "stop"]
    assert node.states() == {"a": "asleep", "b": "stopped"}
    node.pool.wake("a")
    assert node.states()["a"] == "ready"
    node.pool.sleep(5.0)
    assert node.states() == {"a": "asleep", "b": "asleep"}
    with pytest.raises(ConfigError, match="no engine here has the model c; there are: a, b"):
        node.pool.sleep(5.0, "c")


async def test_a_final_failure_is_told_with_its_reason(run):
    node = await run(entry("a"))
    node.pool.demand("a", 0, 1)
    engine = node.engine("a")
    engine.stop = lambda _within: None  # a failed one has nothing to end
    engine.show("failed", reason="wrong hash")
    (view,) = node.pool.views
    assert (view.state, view.reason, view.models) == (
        "failed",
        "wrong hash; once that is mended: byoi engines wake a",
        (),
    )
    assert node.pool.engine_for(ModelId("a")).key == "a"


# Changes


async def test_a_reload_touches_only_what_changed(run):
    node = await run(entry("a", loads_at_start=True), entry("b"))
    node.pool.change_to([entry("c", number=2), entry("a", priority=7)], 1000.0)
    await turns()
    assert [(view.key, view.priority) for view in node.pool.views] == [("c", 50), ("a", 7)]
    assert (len(node.made["a"]), node.engine("a").told) == (1, ["start"])
    assert not node.engine("b").is_running
    assert node.engine("c").is_running
    assert [each.key for each in node.pool.entries] == ["c", "a"]


async def test_one_that_changed_ends_its_requests_and_comes_back_as_the_new(run):
    node = await run(entry("a", loads_at_start=True))
    node.pool.demand("a", 1, 0)
    node.pool.change_to([entry("a", settings=Settings(model="x"), edition=1, loads_at_start=True)])
    assert node.states() == {"a": "draining"}
    assert node.pool.view.models[0].is_loaded is False
    node.pool.demand("a", 0, 0)
    await turns()
    first, second = node.made["a"]
    assert (first.told, first.is_running, second.starts) == (["start", "stop"], False, True)
    assert node.states() == {"a": "ready"}


async def test_one_that_is_wanted_no_more_ends_its_requests_first(run):
    node = await run(entry("a", loads_at_start=True), entry("b"))
    node.pool.demand("a", 1, 0)
    node.pool.change_to([entry("b")])
    assert node.states() == {"b": "stopped", "a": "draining"}
    assert [model.id for model in node.pool.view.models] == ["b"]
    assert [each.key for each in node.pool.entries] == ["b", "a"]
    node.pool.demand("a", 0, 0)
    await turns()
    assert node.states() == {"b": "stopped"}
    assert not node.engine("a").is_running


async def test_other_adapters_need_no_other_engine_where_it_takes_them(run):
    lora = SimpleNamespace(name="lora")
    node = await run(entry("a", loads_at_start=True))
    changed = entry("a", adapters=(lora,), edition=1, loads_at_start=True)
    node.pool.change_to([changed])
    assert (len(node.made["a"]), node.pool.entries[0].edition) == (1, 0)
    assert node.pool.engine_for(ModelId("lora")).key == "a"
    node.engine("a").adapts = False
    node.pool.change_to([entry("a", edition=1, loads_at_start=True)])
    await turns()
    assert len(node.made["a"]) == 2


async def test_from_one_engine_to_several_and_back_never_two_at_once(run):
    node = await run(only("a"))
    node.is_idle.clear()
    node.pool.change_to([entry("b", loads_at_start=True)])
    await turns()
    assert (node.engine(ONLY).is_running, node.engine("b").told) == (True, [])
    node.is_idle.set()
    await turns()
    assert (node.engine(ONLY).is_running, node.engine("b").told) == (False, ["start"])
    node.pool.demand("b", 1, 0)
    node.pool.change_to([only("a")])
    await turns()
    assert not node.engine(ONLY).is_running
    node.pool.demand("b", 0, 0)
    await turns()
    assert node.engine(ONLY).is_running
    assert node.states() == {ONLY: "ready"}


async def test_one_that_stood_and_goes_takes_nothing_new_while_its_requests_end(run):
    node = await run(only("a"))
    node.is_idle.clear()
    node.pool.change_to([entry("a", loads_at_start=True)])
    await turns()
    face = node.pool.views[-1]
    assert (face.key, face.state, face.models) == (ONLY, "draining", ())
    assert node.pool.engine_for(ModelId("a")).key == "a"
    assert [model.is_loaded for model in node.pool.view.models] == [False]
    node.is_idle.set()
    await turns()
    assert node.states() == {"a": "ready"}


async def test_one_that_stood_and_is_wanted_again_before_it_has_gone_stays(run):
    node = await run(only("a"))
    node.is_idle.clear()
    for _ in range(2):
        node.pool.change_to([entry("b")])
        await turns()
        node.pool.change_to([only("a")])
        await turns()
    node.is_idle.set()
    await turns()
    assert node.states() == {ONLY: "ready"}
    assert (node.engine(ONLY).is_running, len(node.made[ONLY])) == (True, 1)
    node.pool.change_to([entry("b")])
    await turns()
    assert node.states() == {"b": "stopped"}


async def test_one_that_follows_others_can_be_asked_before_it_serves(run):
    node = await run(entry("b", loads_at_start=True))
    node.pool.demand("b", 1, 0)
    node.pool.change_to([only("a")])
    await turns()
    assert node.states() == {ONLY: "stopped", "b": "draining"}
    (coming,) = node.pool.view.models
    assert (coming.id, coming.is_loaded, coming.slots) == ("a", False, 4)
    node.pool.demand("b", 0, 0)
    await turns()
    assert node.states() == {ONLY: "ready"}
    assert node.pool.view.models[0].is_loaded
    node.engine(ONLY).show("backing_off")
    assert node.pool.view.models == ()


async def test_the_one_engine_gives_way_to_another_as_before(run):
    node = await run(only("a"))
    node.is_idle.clear()
    node.pool.change_to([only("b", edition=1)])
    assert node.states() == {ONLY: "draining"}
    assert [(model.id, model.is_loaded) for model in node.pool.view.models] == [("b", False)]
    node.is_idle.set()
    await turns()
    assert [each.is_running for each in node.made[ONLY]] == [False, True]


async def test_one_put_to_sleep_while_another_takes_its_place_is_waited_for_by_nobody(run):
    node = await run(only("a"))
    node.is_idle.clear()
    node.pool.change_to([only("b", edition=1)])
    node.pool.sleep(5.0)
    assert (node.states(), loaded(node)) == ({ONLY: "draining"}, {})
    node.is_idle.set()
    await turns()
    assert (node.engine(ONLY).starts, node.states(), loaded(node)) == (False, {ONLY: "asleep"}, {})
    node.engine(ONLY).start = lambda: None  # it takes its time
    node.pool.wake()
    assert loaded(node) == {}, "the change is over: it is woken as any other"
    node.engine(ONLY).show("ready")
    assert loaded(node) == {"b": True}


async def test_one_put_to_sleep_and_woken_while_another_takes_its_place_can_be_asked(run):
    node = await run(only("a"))
    node.is_idle.clear()
    node.pool.change_to([only("b", edition=1)])
    node.pool.sleep(5.0)
    node.engine(ONLY).show("draining")
    node.pool.wake()
    node.engine(ONLY).show("asleep")  # the old one, which has ended what it had
    assert (node.states(), loaded(node)) == ({ONLY: "draining"}, {"b": False})
    node.is_idle.set()
    await turns()
    assert (node.states(), loaded(node)) == ({ONLY: "ready"}, {"b": True})


async def test_what_sleeps_is_not_woken_by_a_change_of_the_settings(run):
    node = await run(only("a"))
    node.pool.sleep(5.0)
    node.engine(ONLY).show("asleep")
    node.pool.change_to([only("b", edition=1)])
    assert loaded(node) == {}
    await turns()
    assert (node.engine(ONLY).starts, node.states(), loaded(node)) == (False, {ONLY: "asleep"}, {})
    node.pool.wake()
    node.pool.release(0.25, by=1001.0)
    node.pool.come_back()
    assert (node.states(), loaded(node)) == ({ONLY: "ready"}, {"b": True})


async def test_models_of_an_attached_engine_are_not_said_of_the_one_in_its_place(run):
    one, other = only("a"), only("b", edition=1)
    one.kind.offers, other.kind.offers = kind("a").offers, ()  # it is asked which ones it has
    node = await run(one)
    node.is_idle.clear()
    node.pool.change_to([other])
    node.engine(ONLY).show("ready")  # the old one ends what it has
    assert loaded(node) == {}
    node.is_idle.set()
    await turns()
    assert loaded(node) == {}


# The machine is its owner's


def loaded(node):
    return {model.id: model.is_loaded for model in node.pool.view.models}


async def test_what_is_released_can_be_asked_for_all_the_while_and_serves_again_afterwards(run):
    node = await run(only("a"))
    node.pool.release(0.25, by=1001.0)
    assert node.engine(ONLY).told == [("release", 0.25, 1001.0)]
    assert (node.pool.views[0].state, loaded(node)) == ("asleep", {"a": False})
    node.pool.come_back()
    assert node.engine(ONLY).told[1:] == ["start"]
    assert loaded(node) == {"a": True}


async def test_what_its_owner_put_to_sleep_stays_asleep_when_he_has_gone(run):
    node = await run(only("a"))
    node.pool.sleep(5.0)
    node.engine(ONLY).show("asleep")
    node.pool.release(0.25, by=1001.0)
    node.pool.come_back()
    assert "start" not in node.engine(ONLY).told
    assert loaded(node) == {}


async def test_what_slept_when_it_left_the_settings_is_another_when_it_is_there_again(run):
    node = await run(entry("a", loads_at_start=True))
    node.pool.sleep(0.0, "a")
    node.engine("a").show("asleep")
    await turns()
    node.pool.change_to([entry("b")])
    await turns()
    node.pool.change_to([entry("a", loads_at_start=True)])
    await turns()
    assert loaded(node) == {"a": True}
    node.pool.release(0.25, by=1001.0)
    await turns()
    node.pool.come_back()
    await turns()
    assert loaded(node) == {"a": True}


async def test_what_its_owner_wakes_meanwhile_waits_for_him_to_go(run):
    node = await run(only("a"))
    node.pool.sleep(5.0)
    node.pool.release(0.25, by=1001.0)
    node.pool.wake()
    assert "start" not in node.engine(ONLY).told
    node.pool.come_back()
    assert node.engine(ONLY).told[-1] == "start"


async def test_of_models_that_share_memory_those_come_back_that_were_loaded(run):
    node = await run(entry("a"), entry("b"))
    node.pool.demand("a", 0, 1)
    node.pool.release(0.25, by=1001.0)
    assert node.engine("a").told == ["start", ("end", 0.25, 1001.0)]
    assert loaded(node) == {"a": False, "b": False}
    node.pool.demand("b", 0, 1)  # nobody's door is open, but it might just have come
    assert node.states() == {"a": "stopped", "b": "stopped"}
    node.pool.demand("b", 0, 0)
    node.pool.come_back()
    node.pool.come_back()
    assert node.states() == {"a": "ready", "b": "stopped"}


async def test_a_model_that_is_being_unloaded_is_hurried(run):
    node = await run(entry("a"))
    node.pool.demand("a", 0, 1)
    node.engine("a").stop = lambda within_seconds: None  # it takes its time
    node.pool.sleep(30.0)
    node.pool.release(0.25, by=1001.0)
    assert node.engine("a").told[-1] == ("end", 0.25, 1001.0)


async def test_one_that_kept_its_memory_asleep_is_ended(run):
    node = await run(only("a"))
    node.pool.release(0.25, by=1001.0)
    node.pool.release(0.0, by=1001.5, last={ONLY})
    assert node.engine(ONLY).told[-1] == ("end", 0.0, 1001.5)


async def test_what_comes_into_the_settings_meanwhile_waits_as_well(run):
    node = await run(entry("a"))
    node.pool.release(0.25, by=1001.0)
    node.pool.change_to([entry("b", loads_at_start=True)])
    await turns()
    assert node.states() == {"b": "stopped"}
    node.pool.come_back()
    assert node.states() == {"b": "ready"}


async def test_what_was_unloaded_before_its_owner_came_is_not_loaded_when_he_leaves(run):
    held = {}
    idle = entry("a", loads_at_start=True, idle_unload_seconds=60.0)
    node = await run(idle, entry("b"), others=lambda devices: dict(held))
    node.clock.monotonic = lambda: 1060.0
    node.pool.demand("b", 0, 0)
    node.pool.change_to([idle, entry("b")])  # time has passed, and this has it looked at
    assert node.states()["a"] == "stopped"
    node.pool.release(0.0)
    held[0] = GIB  # its owner's game begins
    card = DeviceReading(0, "nvidia", "L4", memory_total_bytes=24 * GIB)
    node.pool.resources([card], int(node.memory / 0.75))
    held.clear()
    node.pool.resources([card], int(node.memory / 0.75))
    node.pool.come_back()
    assert (node.states()["a"], node.engine("a").told.count("start")) == ("stopped", 1)

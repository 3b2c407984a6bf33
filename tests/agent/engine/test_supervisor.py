from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from byoi_agent.engine import watch
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.machine import Limits
from byoi_agent.engine.process import Ended, LaunchSpec
from byoi_agent.engine.supervisor import EngineSupervisor, Session
from byoi_agent.engine.view import EngineLoad, ServedModel
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.wheels import InstallError
from byoi_wire.ids import ModelId

MODELS = (ServedModel(ModelId("a"), "a", ("/v1/chat/completions",)),)
OTHERS = (ServedModel(ModelId("b"), "b", ("/v1/chat/completions",)),)


class FakeKind:
    """An engine that is as well as a test says."""

    name = "fake"
    version = "1"
    slots = 4
    extra_fields = frozenset()
    counts_all_choices = True
    can_sleep = False
    limits = Limits()

    def __init__(self, url):
        self.address = EngineAddress.parse(url)
        self.spec = LaunchSpec(("engine",))
        self.failure: Exception | None = None
        self.is_well = True
        self.models = MODELS
        self.looks: list[str] = []
        self.numbers: EngineLoad | None = None
        self.orders: list[str] = []
        self.disobeys = False
        self.obeys = asyncio.Event()
        self.obeys.set()

    async def prepare(self, report):
        if self.failure is not None:
            raise self.failure
        return self.spec

    async def discover(self, client):
        return self._say("discover")

    async def look(self, client):
        return self._say("look")

    async def canary(self, client):
        self._say("canary")

    async def load(self, client):
        return self.numbers

    async def sleep(self, client):
        self.orders.append("sleep")
        await self.obeys.wait()
        if self.disobeys:
            raise EngineError("sleep answered 500")

    async def wake(self, client):
        self.orders.append("wake")
        await self.obeys.wait()
        if self.disobeys:
            raise EngineError("wake answered 500")

    def _say(self, what):
        self.looks.append(what)
        if not self.is_well:
            raise EngineError("no answer")
        return self.models

    def explain(self, ended):
        return f"code {ended.code}"


class FakeRun:
    """A process that ends when told to."""

    def __init__(self, started):
        self.over = asyncio.get_running_loop().create_future()
        self.orders = []
        self.started = started
        self.is_stubborn = False
        self.addresses = ()

    async def exposed(self):
        return self.addresses

    async def run(self):
        self.started(4711)
        try:
            return await self.over
        finally:
            self.orders.append("gone")

    def terminate(self):
        self.orders.append("terminate")
        if not self.is_stubborn:
            self.end(0)

    def kill(self):
        self.orders.append("kill")
        self.end(-9)

    def end(self, code):
        if not self.over.done():
            self.over.set_result(Ended(code))


class Stage:
    """A supervisor with all its neighbours."""

    def __init__(self, clock, kind):
        self.clock = clock
        self.kind = kind
        self.views = []
        self.runs = []
        self.supervisor = EngineSupervisor(
            kind,
            publish=self.views.append,
            clock=clock,
            records=None,
            make_run=self._make_run,
        )

    def _make_run(self, spec, started):
        assert spec is self.kind.spec
        self.runs.append(FakeRun(started))
        return self.runs[-1]

    @property
    def states(self):
        return [view.state for view in self.views]


@pytest.fixture
async def stage(clock, running, socket_folder):
    def make(start=True):
        it = Stage(clock, FakeKind(f"unix://{socket_folder}/e.sock"))
        if start:
            it.task = running(it.supervisor.run())
        return it

    return make


async def test_a_good_start_is_told_step_by_step_and_only_on_change(stage, clock):
    it = stage()
    await clock.advance(1)
    assert it.states == ["starting", "starting", "ready"]
    view = it.supervisor.view
    assert view == it.views[-1]
    assert (view.models, view.slots, view.pid, view.restarts) == (MODELS, 4, 4711, 0)
    before = len(it.views)
    await clock.advance(60)
    assert len(it.views) == before
    assert it.kind.looks.count("look") == 12
    assert "canary" not in it.kind.looks


async def test_a_slow_start_is_asked_again_until_it_answers(stage, clock):
    it = stage()
    it.kind.is_well = False
    await clock.advance(10)
    assert it.states[-1] == "starting"
    assert len(it.kind.looks) >= 100
    it.kind.is_well = True
    await clock.advance(1)
    assert it.states[-1] == "ready"


async def test_a_start_that_never_answers_is_killed_and_tried_again(stage, clock):
    it = stage()
    it.kind.is_well = False
    await clock.advance(30.5)
    assert it.runs[0].orders == ["kill", "gone"]
    assert it.supervisor.view.state == "backing_off"
    assert "no answer within 30 s" in it.supervisor.view.reason
    it.kind.is_well = True
    await clock.advance(2)
    assert it.supervisor.view.state == "ready"
    assert it.supervisor.view.restarts == 1
    assert it.supervisor.view.reason is None


async def test_a_crash_loop_waits_longer_each_time_and_shows_why(stage, clock):
    it = stage()
    starts = []
    for _ in range(8):
        await clock.advance(0)
        while not it.runs or it.runs[-1].over.done():
            await clock.advance(0.5)
        starts.append(clock.now)
        it.runs[-1].end(1)
        await clock.advance(0)
        assert it.supervisor.view.reason == "code 1"
    gaps = [round(b - a) for a, b in itertools.pairwise(starts)]
    assert gaps == [1, 2, 4, 8, 16, 32, 64]


async def test_an_engine_that_dies_while_serving_comes_back(stage, clock):
    it = stage()
    await clock.advance(1)
    it.runs[0].end(-9)
    await clock.advance(0)
    assert it.supervisor.view.state == "backing_off"
    assert it.supervisor.view.models == ()
    assert it.supervisor.view.pid is None
    await clock.advance(2)
    assert it.supervisor.view.state == "ready"
    assert len(it.runs) == 2


async def test_one_that_stops_answering_is_killed_and_started_again(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.is_well = False
    await clock.advance(watch.WATCH_SECONDS - 0.5)
    assert it.runs[0].orders == ["kill", "gone"]
    assert "does not answer any more" in it.supervisor.view.reason


async def test_a_suspicion_is_looked_into_at_once_with_a_real_token(stage, clock):
    it = stage()
    await clock.advance(1)
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    assert it.kind.looks[-1] == "canary"
    assert it.supervisor.view.state == "ready"
    it.kind.is_well = False
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    assert it.supervisor.view.state == "backing_off"


async def test_silence_under_load_is_looked_into_and_bytes_are_no_silence(
    stage, clock, monkeypatch
):
    it = stage()
    await clock.advance(1)
    client = it.supervisor.client
    monkeypatch.setattr(type(client), "running", property(lambda _: 1))
    for _ in range(20):
        client.received_bytes += 10
        await clock.advance(watch.WATCH_SECONDS)
    assert "canary" not in it.kind.looks
    await clock.advance(watch.SILENCE_SECONDS + 2 * watch.WATCH_SECONDS)
    assert it.kind.looks.count("canary") == 1
    it.kind.is_well = False
    await clock.advance(watch.SILENCE_SECONDS + 2 * watch.WATCH_SECONDS)
    assert it.supervisor.view.state != "ready"
    assert it.runs[0].orders == ["kill", "gone"]


async def test_a_short_pause_of_an_idle_engine_is_survived(stage, clock):
    it = stage()
    await clock.advance(1)

    async def look(client):
        raise EngineError("no answer in 5 s")

    it.kind.look = look
    await clock.advance(watch.WATCH_SECONDS)
    assert it.kind.looks[-1] == "canary"
    assert it.supervisor.view.state == "ready"


async def test_models_that_come_and_go_are_published(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.models = OTHERS
    await clock.advance(watch.WATCH_SECONDS)
    assert it.supervisor.view.models == OTHERS


async def test_what_only_the_owner_can_mend_is_not_tried_again(stage, clock):
    it = stage()
    it.kind.failure = ConfigError("wrong hash")
    await clock.advance(1000)
    assert it.supervisor.view.state == "failed"
    assert it.supervisor.view.reason == "wrong hash"
    assert not it.runs
    it.kind.failure = None
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"


@pytest.mark.parametrize("error", [InstallError("no network"), OSError("disk full")])
async def test_what_time_may_mend_is_tried_again(stage, clock, error):
    it = stage()
    it.kind.failure = error
    await clock.advance(0)
    assert it.supervisor.view.reason == str(error)
    it.kind.failure = None
    await clock.advance(2)
    assert it.supervisor.view.state == "ready"


async def test_a_stop_asks_first_and_kills_when_the_time_is_up(stage, clock):
    it = stage()
    await clock.advance(1)
    it.runs[0].is_stubborn = True
    it.supervisor.stop()
    await clock.advance(0)
    assert it.supervisor.view.state == "draining"
    assert it.runs[0].orders == ["terminate"]
    await clock.advance(11)
    assert it.runs[0].orders == ["terminate", "kill", "gone"]
    assert it.supervisor.view.state == "stopped"
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"


async def test_a_start_wanted_while_it_leaves_is_remembered(stage, clock):
    it = stage()
    await clock.advance(1)
    it.runs[0].is_stubborn = True
    it.supervisor.stop()
    it.supervisor.start()
    await clock.advance(0)
    it.runs[0].end(0)
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"
    assert len(it.runs) == 2


async def test_a_stop_while_preparing_abandons_it(stage, clock, settled):
    it = stage(start=False)
    fetching, abandoned = asyncio.Event(), asyncio.Event()

    async def prepare(report):
        fetching.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            abandoned.set()

    it.kind.prepare = prepare
    task = asyncio.ensure_future(it.supervisor.run())
    await fetching.wait()
    it.supervisor.stop()
    await abandoned.wait()
    await settled()
    assert it.supervisor.view.state == "stopped"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_nothing_runs_when_it_is_cancelled(stage, clock):
    it = stage()
    await clock.advance(1)
    it.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await it.task
    assert it.runs[0].orders == ["gone"]
    assert it.supervisor.view.state == "stopped"
    assert it.views[-1].state == "stopped"


async def test_an_engine_of_somebody_elses_is_never_started_nor_ended(stage, clock):
    it = stage()
    it.kind.spec = None
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"
    assert it.supervisor.view.pid is None
    it.kind.is_well = False
    await clock.advance(10)
    it.kind.is_well = True
    await clock.advance(60)
    assert it.supervisor.view.state == "ready"
    it.supervisor.stop()
    await clock.advance(0)
    assert it.supervisor.view.state == "stopped"
    assert not it.runs


@pytest.mark.parametrize("order", ["terminate", "kill"])
async def test_a_session_ends_when_we_are_done(order):
    session = Session()
    getattr(session, order)()
    assert await session.run() == Ended(0)


async def test_what_cannot_be_started_is_explained(stage, clock):
    it = stage()

    async def run():
        raise FileNotFoundError("no guard")

    make = it.supervisor._make_run

    def broken(spec, started):
        made = make(spec, started)
        made.run = run
        return made

    it.supervisor._make_run = broken
    await clock.advance(0)
    assert it.supervisor.view.reason == "it could not be started: no guard"
    assert "Prepared()" in [event for _, event in it.supervisor.history]

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest

from byoi_agent.engine import life, supervisor
from byoi_agent.engine.process import Ended
from byoi_agent.engine.supervisor import Session
from byoi_agent.engine.view import EngineLoad
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.wheels import InstallError


async def test_a_good_start_is_told_step_by_step_and_only_on_change(stage, clock):
    it = stage()
    await clock.advance(1)
    assert it.states == ["starting", "starting", "ready"]
    view = it.supervisor.view
    assert view == it.views[-1]
    assert (view.models, view.slots, view.pid, view.restarts) == (it.kind.models, 4, 4711, 0)
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


def test_each_state_has_its_word_for_the_owner():
    states = set(life.State.__args__)
    assert supervisor._WORDS.keys() == states


async def test_an_engine_that_listens_to_a_network_is_ended_and_not_started_again(stage, clock):
    it = stage(addresses=("0.0.0.0:8000",))
    await clock.advance(1000)
    assert it.supervisor.view.state == "failed"
    assert "0.0.0.0:8000" in it.supervisor.view.reason
    assert [run.orders for run in it.runs] == [["kill", "gone"]]


async def test_sleep_waits_for_the_last_request_and_keeps_the_process(stage, clock, monkeypatch):
    it = stage(can_sleep=True)
    await clock.advance(1)
    under_way = 1
    client = it.supervisor.client
    monkeypatch.setattr(type(client), "running", property(lambda _: under_way))
    it.supervisor.sleep(within_seconds=20)
    await clock.advance(10)
    view = it.supervisor.view
    assert (view.state, view.models, view.slots) == ("draining", (), 0)
    assert not it.kind.orders
    under_way = 0
    await clock.advance(0.1)
    assert it.kind.orders == ["sleep"]
    assert it.supervisor.view.state == "asleep"
    assert it.supervisor.view.pid == 4711
    assert it.runs[0].orders == []
    it.supervisor.start()
    await clock.advance(0)
    assert it.kind.orders == ["sleep", "wake"]
    assert it.kind.looks[-1] == "discover"
    assert it.supervisor.view.state == "ready"
    assert len(it.runs) == 1


async def test_requests_that_go_on_for_too_long_are_cut_before_it_sleeps(
    stage, clock, serve, hearing
):
    async def silent(request, writer):
        """Never an answer."""

    it = stage(can_sleep=True)
    await clock.advance(1)
    server = await serve(silent)  # a start takes away what lies at the socket's path
    heard = hearing()
    await it.supervisor.client.send("POST", "/v1/chat/completions", {}, b"", heard)
    it.supervisor.sleep(within_seconds=3)
    await clock.advance(2.9)
    assert not heard.over.done()
    await clock.advance(0.2)
    assert isinstance(heard.over.result(), EngineError)
    assert it.supervisor.view.state == "asleep"
    await server.gone.wait()


async def test_where_the_kind_cannot_sleep_it_is_ended_and_waking_starts_it(stage, clock):
    it = stage()
    await clock.advance(1)
    it.supervisor.sleep()
    await clock.advance(0.1)
    assert it.runs[0].orders == ["terminate", "gone"]
    assert (it.supervisor.view.state, it.supervisor.view.pid) == ("asleep", None)
    await clock.advance(3600)
    assert len(it.runs) == 1
    it.supervisor.start()
    await clock.advance(1)
    assert (it.supervisor.view.state, it.supervisor.view.restarts) == ("ready", 0)
    assert len(it.runs) == 2


async def test_one_that_will_not_sleep_is_ended_as_its_memory_is_wanted(stage, clock):
    it = stage(can_sleep=True)
    await clock.advance(1)
    it.kind.disobeys = True
    it.supervisor.sleep()
    await clock.advance(0.1)
    assert it.runs[0].orders == ["terminate", "gone"]
    assert it.supervisor.view.state == "asleep"


async def test_one_that_hangs_while_it_falls_asleep_is_killed(stage, clock):
    it = stage(can_sleep=True)
    await clock.advance(1)
    it.kind.obeys.clear()
    it.supervisor.sleep()
    await clock.advance(life.Limits().sleep_seconds + 1)
    assert it.runs[0].orders == ["kill", "gone"]
    assert it.supervisor.view.state == "asleep"


async def test_one_that_does_not_wake_is_ended_and_started_again(stage, clock):
    it = stage(can_sleep=True)
    await clock.advance(1)
    it.supervisor.sleep()
    await clock.advance(1)
    it.kind.disobeys = True
    it.supervisor.start()
    await clock.advance(0)
    assert it.runs[0].orders == ["kill", "gone"]
    assert "did not wake" in it.supervisor.view.reason
    await clock.advance(2)
    assert it.supervisor.view.state == "ready"


async def test_one_that_dies_in_its_sleep_stays_asleep_and_waking_starts_it(stage, clock):
    it = stage(can_sleep=True)
    await clock.advance(1)
    it.supervisor.sleep()
    await clock.advance(1)
    it.runs[0].end(-9)
    await clock.advance(60)
    assert (it.supervisor.view.state, it.supervisor.view.pid) == ("asleep", None)
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"


async def test_woken_while_it_falls_asleep_it_wakes_once_it_has(stage, clock):
    it = stage(can_sleep=True)
    await clock.advance(1)
    it.kind.obeys.clear()
    it.supervisor.sleep()
    await clock.advance(0.1)
    it.supervisor.start()
    await clock.advance(0)
    assert it.kind.orders == ["sleep"]
    it.kind.obeys.set()
    await clock.advance(0)
    assert it.kind.orders == ["sleep", "wake"]
    assert it.supervisor.view.state == "ready"


async def test_its_own_numbers_are_on_the_view_while_it_is_ready(stage, clock):
    it = stage(can_sleep=True, numbers=EngineLoad(running=2))
    await clock.advance(1)
    assert it.supervisor.view.load == EngineLoad(running=2)
    it.kind.numbers = EngineLoad(running=3)
    await clock.advance(5)
    assert it.supervisor.view.load == EngineLoad(running=3)
    it.supervisor.sleep()
    await clock.advance(1)
    assert it.supervisor.view.load is None


async def test_a_socket_that_a_killed_engine_left_is_taken_away_before_the_start(stage, clock):
    it = stage(start=False)
    left = Path(it.kind.address.socket_path)
    left.touch()
    it.run()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"
    assert not left.exists()


async def test_one_that_is_not_wanted_yet_starts_when_it_is_told_to(stage, clock):
    it = stage(starts=False)
    await clock.advance(1)
    assert (it.supervisor.view.state, it.runs) == ("stopped", [])
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"


async def test_what_its_owner_wants_it_to_see_is_looked_up_at_each_start(stage, clock):
    def environment():
        raise ConfigError("there is no GPU 3")

    it = stage(environment=environment)
    await clock.advance(1)
    assert (it.supervisor.view.state, it.supervisor.view.reason) == ("failed", "there is no GPU 3")


async def test_its_process_has_the_variables_that_were_given(stage, clock, monkeypatch):
    started = []

    def process(spec, **_facts):
        started.append(spec)
        return Session()

    monkeypatch.setattr(supervisor, "EngineProcess", process)
    it = stage(start=False, environment=lambda: {"CUDA_VISIBLE_DEVICES": "GPU-1"})
    it.supervisor._make_run = it.supervisor._make_process
    it.run()
    await clock.advance(1)
    assert started[0].environment == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


async def test_an_owner_in_a_hurry_has_it_killed_in_time(stage, clock):
    it = stage()
    await clock.advance(1)
    it.runs[0].is_stubborn = True
    it.supervisor.release(0.25, by=clock.now + 1.5)
    await clock.advance(0.4)
    assert it.runs[0].orders == ["terminate within 0.5"]
    await clock.advance(0.2)
    assert it.runs[0].orders == ["terminate within 0.5", "kill", "gone"]
    assert it.supervisor.view.state == "asleep"
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"


async def test_a_sleeper_that_takes_too_long_for_its_owner_is_killed(stage, clock):
    it = stage(can_sleep=True)
    it.kind.obeys.clear()
    await clock.advance(1)
    it.supervisor.release(0.25, by=clock.now + 1.5)
    await clock.advance(1.5)
    assert (it.kind.orders, it.runs[0].orders) == (["sleep"], ["kill", "gone"])


@pytest.mark.parametrize("order", ["release", "sleep", "stop"])
async def test_what_is_released_before_it_runs_is_not_started(stage, clock, order):
    it = stage(start=False)
    by = {"by": clock.now + 1.5} if order == "release" else {}
    getattr(it.supervisor, order)(0.0, **by)
    it.run()
    await clock.advance(5)
    assert (it.runs, it.supervisor.view.state) == ([], "stopped")
    it.supervisor.start()
    await clock.advance(1)
    assert it.supervisor.view.state == "ready"

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from byoi_agent.engine import leftovers
from byoi_agent.engine.guard import stat_of
from byoi_agent.engine.leftovers import MARK, clear_leftovers, new_run, processes_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is /proc")


@pytest.fixture
def sleeper():
    made = []

    def start(mark=None, **settings):
        environment = {**os.environ, **({MARK: mark} if mark else {})}
        made.append(subprocess.Popen(["/bin/sleep", "600"], env=environment, **settings))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


def dead_agent(run):
    """The same run, by an agent that is no more (its process id is somebody else's now)."""
    return replace(run, agent_pid=os.getpid(), agent_ticks=run.agent_ticks + 1)


async def test_a_marked_process_of_a_dead_agent_is_ended(tmp_path, sleeper):
    ours, other = sleeper("mark-a"), sleeper("mark-b")
    dead_agent(new_run("mark-a")).save(tmp_path)
    assert await clear_leftovers(tmp_path) == 1
    assert ours.wait(60) == -9
    assert other.poll() is None
    assert not list(tmp_path.iterdir())


SHARES = """
import sys, time
from multiprocessing.shared_memory import SharedMemory
shared = SharedMemory(create=True, size=64)
print(shared.name, flush=True)
time.sleep(600)
"""


async def test_shared_memory_of_what_is_ended_does_not_stay_behind(tmp_path, sleeper, monkeypatch):
    for bound in ("TRACKER_SECONDS", "_SECONDS"):  # a slow machine's tracker has its time
        monkeypatch.setattr(leftovers, bound, 60.0)
    user = subprocess.Popen(
        [sys.executable, "-c", SHARES],
        env={**os.environ, MARK: "mark-a"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the tracker says what it takes away
        text=True,
    )
    with user:
        shared = Path("/dev/shm") / user.stdout.readline().strip()
        assert shared.exists()
        dead_agent(new_run("mark-a")).save(tmp_path)
        assert await clear_leftovers(tmp_path) == 2
        assert user.wait(60) == -9
    assert not shared.exists()


async def test_the_session_that_the_engine_led_is_ended_without_any_mark(tmp_path, sleeper):
    leader = sleeper(start_new_session=True)
    run = dead_agent(new_run("mark-a"))
    ticks = stat_of(leader.pid)[3]
    replace(run, engine_pid=leader.pid, engine_ticks=ticks).save(tmp_path)
    assert await clear_leftovers(tmp_path) == 1
    assert leader.wait(60) == -9


async def test_a_process_id_that_was_given_to_another_is_left_alone(tmp_path, sleeper):
    stranger = sleeper(start_new_session=True)
    ticks = stat_of(stranger.pid)[3]
    run = replace(dead_agent(new_run("m")), engine_pid=stranger.pid, engine_ticks=ticks - 1)
    assert processes_of(run) == []
    run.save(tmp_path)
    assert await clear_leftovers(tmp_path) == 0
    assert stranger.poll() is None


async def test_what_a_living_agent_runs_is_left_alone(tmp_path, sleeper):
    ours = sleeper("mark-a")
    new_run("mark-a").save(tmp_path)
    assert await clear_leftovers(tmp_path) == 0
    assert ours.poll() is None
    assert list(tmp_path.iterdir())


async def test_records_of_another_boot_prove_nothing(tmp_path, sleeper):
    ours = sleeper("mark-a")
    replace(dead_agent(new_run("mark-a")), boot="another").save(tmp_path)
    assert await clear_leftovers(tmp_path) == 0
    assert ours.poll() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", '{"mark": 1}', json.dumps([1])])
async def test_a_torn_record_is_thrown_away(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert await clear_leftovers(tmp_path) == 0
    assert not list(tmp_path.iterdir())


async def test_a_folder_that_never_was_has_no_leftovers(tmp_path):
    assert await clear_leftovers(tmp_path / "none") == 0


AGENT = """
import asyncio, sys
from pathlib import Path
from byoi_agent.engine.process import EngineProcess, LaunchSpec
code = "import os, time; os.fork() or os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
spec = LaunchSpec((sys.executable, "-S", "-c", code))
print_pid = lambda pid: print(pid, flush=True)
asyncio.run(EngineProcess(spec, records=Path(sys.argv[1]), on_started=print_pid).run())
"""


async def test_agent_and_guard_killed_together_leave_nothing_once_restarted(tmp_path):
    with subprocess.Popen([sys.executable, "-c", AGENT, tmp_path], stdout=subprocess.PIPE) as agent:
        engine = int(agent.stdout.readline())
        run = new_run(next(tmp_path.glob("*.json")).stem)
        while len(processes_of(run)) < 3:
            await asyncio.sleep(0.01)
        pids = processes_of(run)
        guard = stat_of(engine)[1]
        assert {engine, guard} <= set(pids)
        os.kill(guard, signal.SIGSTOP)
        os.kill(agent.pid, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
    assert await clear_leftovers(tmp_path) >= 1
    assert all((stat_of(pid) or "Z")[0] in "ZX" for pid in pids)
    assert not list(tmp_path.iterdir())

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from byoi_agent.engine.guard import stat_of
from byoi_agent.engine.leftovers import MARK
from byoi_agent.engine.process import EngineProcess, LaunchSpec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is /proc")

# An engine with a worker (same session), a runaway that makes a session of its own, and a tail.
TREE = """
import os, signal, sys, time
def child(leave):
    if os.fork() == 0:
        if leave:
            os.setsid()
        open(f"{sys.argv[1]}/{'runaway' if leave else 'worker'}", "w").write(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
child(False)
child(True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("engine", "says", flush=True)
open(f"{sys.argv[1]}/engine", "w").write(str(os.getpid()))
time.sleep(600)
"""
STUBBORN = TREE.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def is_gone(pid):
    stat = stat_of(pid)
    return stat is None or stat[0] in "ZX"


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


class Tree:
    """A run of a small tree of processes, and who is in it."""

    def __init__(self, folder: Path, code: str, stop_seconds: float) -> None:
        self.folder = folder
        self.records = folder / "records"
        self.started: list[int] = []
        argv = (sys.executable, "-S", "-c", code, str(folder))
        spec = LaunchSpec(argv, {"COLOUR": "blue"}, stop_seconds)
        self.process = EngineProcess(spec, records=self.records, on_started=self.started.append)

    async def pids(self):
        files = [self.folder / name for name in ("engine", "worker", "runaway")]
        await until(lambda: all(file.exists() and file.read_text() for file in files))
        return [int(file.read_text()) for file in files]


@pytest.fixture
def tree(tmp_path):
    made = []

    def make(code=TREE, stop_seconds=5.0):
        made.append(Tree(tmp_path, code, stop_seconds))
        return made[-1]

    yield make
    for file in tmp_path.iterdir():
        # Whoever was killed in the midst of writing left an empty one.
        if file.name in {"engine", "worker", "runaway"} and (pid := file.read_text()):
            assert is_gone(int(pid)), f"{file.name} was left running"


async def test_a_terminated_engine_leaves_nothing_behind(tree, running):
    it = tree(stop_seconds=60.0)
    run = running(it.process.run())
    pids = await it.pids()
    await until(lambda: it.started)  # the guard tells of it beside the engine's own first steps
    assert it.started == pids[:1]
    assert list(it.records.glob("*.json"))
    it.process.terminate()
    ended = await run
    assert ended.code == 0
    assert "engine says" in ended.log
    assert all(is_gone(pid) for pid in pids)
    assert not list(it.records.iterdir())


async def test_an_engine_that_will_not_leave_is_killed_when_its_time_is_up(tree, running):
    it = tree(STUBBORN, stop_seconds=0.1)
    run = running(it.process.run())
    pids = await it.pids()
    it.process.terminate()
    assert (await run).code == -signal.SIGKILL
    assert all(is_gone(pid) for pid in pids)


async def test_an_order_that_is_given_while_it_is_being_started_is_not_lost(tree, running):
    it = tree(STUBBORN, stop_seconds=600)
    it.process.kill()
    assert (await running(it.process.run())).code == -signal.SIGKILL


async def test_a_kill_takes_the_whole_tree_at_once(tree, running):
    it = tree(STUBBORN, stop_seconds=600)
    run = running(it.process.run())
    pids = await it.pids()
    it.process.terminate()
    it.process.kill()
    assert (await run).code == -signal.SIGKILL
    assert all(is_gone(pid) for pid in pids)


async def test_an_engine_killed_by_others_takes_its_workers_along(tree, running):
    it = tree()
    run = running(it.process.run())
    pids = await it.pids()
    os.kill(pids[0], signal.SIGKILL)
    assert (await run).code == -signal.SIGKILL
    assert all(is_gone(pid) for pid in pids)


async def test_a_killed_guard_takes_the_engine_along_and_we_clear_the_rest(tree, running):
    it = tree()
    run = running(it.process.run())
    pids = await it.pids()
    guard = stat_of(pids[0])[1]
    os.kill(guard, signal.SIGKILL)
    assert (await run).code is None
    assert all(is_gone(pid) for pid in pids)
    assert not list(it.records.iterdir())


async def test_being_cancelled_ends_the_tree_before_it_returns(tree, running):
    it = tree()
    run = running(it.process.run())
    pids = await it.pids()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert all(is_gone(pid) for pid in pids)
    assert not list(it.records.iterdir())


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_being_cancelled_while_it_starts_leaves_nothing_behind(tree, running, turns):
    it = tree(STUBBORN)
    run = running(it.process.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not it.records.exists() or not list(it.records.iterdir())


async def test_a_stopped_engine_can_still_be_killed(tree, running):
    it = tree()
    run = running(it.process.run())
    pids = await it.pids()
    os.kill(pids[0], signal.SIGSTOP)
    it.process.kill()
    assert (await run).code == -signal.SIGKILL
    assert all(is_gone(pid) for pid in pids)


async def test_an_engine_that_does_not_exist_ends_at_once(tmp_path):
    spec = LaunchSpec((str(tmp_path / "no-such-program"),))
    process = EngineProcess(spec, records=tmp_path / "records", on_started=lambda _: None)
    process.kill()
    ended = await process.run()
    assert ended.code is None
    assert "no-such-program" in ended.log[-1]
    assert not list((tmp_path / "records").iterdir())


async def test_an_engine_knows_of_our_environment_only_what_it_must(tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_ENGINE_API_KEY", "secret")
    code = "import os; print(*sorted(os.environ), sep='\\n')"
    spec = LaunchSpec((sys.executable, "-S", "-c", code), {"COLOUR": "blue"})
    process = EngineProcess(spec, records=tmp_path / "records", on_started=lambda _: None)
    names = (await process.run()).log
    assert {"COLOUR", MARK, "PATH"} <= set(names)
    assert not [name for name in names if name.startswith("BYOI_") and name != MARK]


async def test_only_the_tail_of_a_talkative_engine_is_kept(tmp_path):
    code = "for i in range(20000): print('line', i)\nprint('x' * 500000, end='')"
    spec = LaunchSpec((sys.executable, "-S", "-c", code))
    process = EngineProcess(spec, records=tmp_path / "records", on_started=lambda _: None)
    ended = await process.run()
    assert ended.code == 0
    assert len(ended.log) == 200
    assert ended.log[-2] == "line 19999"
    assert set(ended.log[-1]) == {"x"}
    assert len(ended.log[-1]) <= 2000

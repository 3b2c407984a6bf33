"""The real engine starts and stops again and again and leaves nothing behind, in numbers."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

CYCLES = 100
AT_ONCE = 2
"""Engines beside each other: starting one keeps a single core busy for a second."""
WARM_UP = 10
"""Until then what is imported late may still leave something."""


class Leftovers:
    """All that an engine could leave behind, counted."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._me = psutil.Process()

    def now(self) -> dict[str, object]:
        return {
            "processes": [(one.pid, one.name()) for one in self._me.children(recursive=True)],
            "ports": [
                one.laddr
                for one in self._me.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            ],
            "sockets": self._sockets(),
            "files": [str(path) for folder in self._folders for path in sorted(folder.rglob("*"))],
            "shared memory": self._shared_memory(),
            "threads": sorted(one.name for one in threading.enumerate()),
            "kernel threads": self._me.num_threads(),
            "descriptors": self._me.num_fds(),
            "tasks": len(asyncio.all_tasks()),
        }

    def _sockets(self) -> list[str]:
        table = Path("/proc/net/unix").read_text().splitlines()
        paths = [line.split()[-1] for line in table]
        return [path for path in paths if path.startswith(tuple(map(str, self._folders)))]

    def _shared_memory(self) -> list[str]:
        names = [path.name for path in Path("/dev/shm").iterdir()]
        return sorted(name for name in names if "llama" in name or "ggml" in name)


def grown_pool() -> ThreadPoolExecutor:
    """Threads for what blocks, all of them there: one grows whenever both engines need it."""
    pool, all_there = ThreadPoolExecutor(AT_ONCE), threading.Barrier(AT_ONCE)
    for _ in range(AT_ONCE):
        pool.submit(all_there.wait)
    return pool


async def together(runs, cycles, pids) -> None:
    """So many starts and stops in all, ending with every engine stopped."""
    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(cycling(run, cycles // len(runs), pids))


async def cycling(run, cycles, pids) -> None:
    for cycle in range(cycles):
        pids.add((await run.becomes("ready")).pid)  # it has answered a token
        run.supervisor.stop(within_seconds=0)
        await run.becomes("stopped")
        if cycle < cycles - 1:
            run.supervisor.start()


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(3000)
async def test_a_hundred_starts_and_stops_leave_nothing_behind(
    helper, tmp_path, monkeypatch, capsys
):
    engines = helper("engine_run")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    asyncio.get_running_loop().set_default_executor(grown_pool())
    pids = set()
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        for one in range(AT_ONCE):
            Path(runtime, str(one)).mkdir(mode=0o700)
        leftovers = Leftovers(temporary, tmp_path, Path(runtime))
        runs = [
            engines.EngineRun(
                engines.paths_in(tmp_path / f"state-{one}", Path(runtime) / str(one)),
                slots=1,
                context_tokens=256,
            )
            for one in range(AT_ONCE)
        ]
        before = leftovers.now()
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            supervising = [tasks.create_task(run.supervisor.run()) for run in runs]
            await together(runs, WARM_UP, pids)
            warm = leftovers.now()
            for run in runs:
                run.supervisor.start()
            await together(runs, CYCLES - WARM_UP, pids)
            after = leftovers.now()
            for task in supervising:
                task.cancel()
        ended = leftovers.now()
    assert len(pids) == CYCLES
    assert after == warm
    unheld = {"processes", "ports", "sockets", "shared memory", "tasks"}
    assert {name: ended[name] for name in unheld} == {name: before[name] for name in unheld}
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert not [run for run in runs if run.supervisor.view.restarts]
    assert not list(Path(temporary).iterdir())
    with capsys.disabled():
        seconds = (time.monotonic() - began) / CYCLES
        print(f"\n{CYCLES} cycles, {seconds:.2f} s each; left: {_told(after)}")


def _told(counts: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {len(value) if isinstance(value, list) else value}"
        for name, value in counts.items()
    )

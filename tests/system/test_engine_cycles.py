"""The real engine starts and stops again and again and leaves nothing behind, in numbers."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

CYCLES = 100
WARM_UP = 10
"""Until then the pool of threads and what is imported late may still grow."""


class Leftovers:
    """All that an engine could leave behind, counted."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._me = psutil.Process()

    def now(self) -> dict[str, object]:
        return {
            "processes": [(one.pid, one.name()) for one in self._me.children(recursive=True)],
            "ports": [
                (one.laddr, one.pid)
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
        owners = [path for path in Path("/dev/shm").iterdir() if path.stat().st_uid == os.getuid()]
        return sorted(path.name for path in owners if "llama" in path.name or "ggml" in path.name)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
async def test_a_hundred_starts_and_stops_leave_nothing_behind(
    helper, tmp_path, monkeypatch, capsys
):
    engines = helper("engine_run")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    pids = set()
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        leftovers = Leftovers(temporary, tmp_path, Path(runtime))
        paths = engines.paths_in(tmp_path / "state", Path(runtime))
        run = engines.EngineRun(paths, slots=1, context_tokens=256)
        before = leftovers.now()
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            supervising = tasks.create_task(run.supervisor.run())
            for cycle in range(CYCLES):
                pids.add((await run.becomes("ready")).pid)  # it has answered a token
                run.supervisor.stop(within_seconds=0)
                await run.becomes("stopped")
                if cycle == WARM_UP - 1:
                    warm = leftovers.now()
                if cycle < CYCLES - 1:
                    run.supervisor.start()
            after = leftovers.now()
            supervising.cancel()
        ended = leftovers.now()
    assert len(pids) == CYCLES
    assert after == warm
    unheld = {"processes", "ports", "sockets", "shared memory", "tasks"}
    assert {name: ended[name] for name in unheld} == {name: before[name] for name in unheld}
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert run.supervisor.view.restarts == 0
    assert not list(Path(temporary).iterdir())
    with capsys.disabled():
        seconds = (time.monotonic() - began) / CYCLES
        print(f"\n{CYCLES} cycles, {seconds:.2f} s each; left: {_told(after)}")


def _told(counts: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {len(value) if isinstance(value, list) else value}"
        for name, value in counts.items()
    )

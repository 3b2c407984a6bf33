"""Finds and ends what an engine left behind when its guard could not: killed together with us.

Only what is provably ours is touched: a process that carries our run's mark in its environment, or
that belongs to the session which our engine led. Never by name: every engine on a machine has the
same one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from byoi_agent.engine.guard import TRACKER_SECONDS, is_tracker, stat_of

logger = logging.getLogger(__name__)

MARK = "BYOI_ENGINE_RUN"
_POLL_SECONDS = 0.02
_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """One start of an engine, as written to disk before it happens.

    A process id means something only together with its start (clock ticks since boot) and the boot.
    """

    mark: str
    boot: str
    agent_pid: int
    agent_ticks: int
    engine_pid: int = 0
    engine_ticks: int = 0

    def save(self, folder: Path) -> None:
        """Write it down; atomic, as we may be killed any moment."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = folder / f"{self.mark}.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(folder / f"{self.mark}.json")

    def forget(self, folder: Path) -> None:
        """Nothing of it is left."""
        (folder / f"{self.mark}.json").unlink(missing_ok=True)


def new_run(mark: str) -> Run:
    """A run of this process, about to begin."""
    stat = stat_of(os.getpid())
    return Run(mark, _boot(), os.getpid(), stat[3] if stat else 0)


async def clear_leftovers(folder: Path) -> int:
    """End what earlier agents with this folder left running; returns how many processes.

    A run whose agent still lives is left alone.
    """
    count = 0
    for run in _recorded(folder):
        if _agent_lives(run):
            continue
        if run.boot == _boot():
            count += await sweep(run)
        run.forget(folder)
    return count


def abandoned(folder: Path) -> list[int]:
    """The processes that `clear_leftovers` would end; nothing is touched."""
    runs = [run for run in _recorded(folder) if run.boot == _boot() and not _agent_lives(run)]
    return [pid for run in runs for pid in processes_of(run)]


def _agent_lives(run: Run) -> bool:
    if run.boot != _boot():
        return False
    stat = stat_of(run.agent_pid)
    return stat is not None and stat[3] == run.agent_ticks and stat[0] not in "ZX"


def _recorded(folder: Path) -> list[Run]:
    runs = []
    for file in sorted(folder.glob("*.json")):
        try:
            runs.append(Run(**json.loads(file.read_text())))
        except (ValueError, TypeError):
            file.unlink(missing_ok=True)  # torn by a full disk: nothing can be proven by it
    return runs


async def sweep(run: Run) -> int:
    """Kill all that is left of a run and wait until it is gone; returns how many there were.

    What takes shared memory away comes last: it does so once its users are gone, and ends itself.
    """
    killed: set[int] = set()
    until = time.monotonic() + TRACKER_SECONDS
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            while left := await asyncio.to_thread(processes_of, run):
                for pid in left:
                    if time.monotonic() < until and is_tracker(pid):
                        continue
                    _kill(pid)
                killed.update(left)
                await asyncio.sleep(_POLL_SECONDS)
    if killed:
        logger.warning("engine leftovers ended", extra={"processes": len(killed)})
    return len(killed)


def _kill(pid: int) -> None:
    if sys.platform != "win32":  # where the job ends them, and none is ever found here
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def processes_of(run: Run) -> list[int]:
    """The processes of a run that still exist; zombies do not count."""
    mark = f"{MARK}={run.mark}".encode()
    leader = stat_of(run.engine_pid) if run.engine_pid else None
    # While a session has members its id is not given away, so a dead leader proves them ours.
    is_session_ours = run.engine_pid > 0 and (leader is None or leader[3] == run.engine_ticks)
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        stat = stat_of(int(entry.name))
        if stat is None or stat[0] in "ZX":
            continue
        in_session = stat[2] == run.engine_pid and stat[3] >= run.engine_ticks
        if (is_session_ours and in_session) or _carries(entry, mark):
            found.append(int(entry.name))
    return found


def _carries(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

"""One run of an engine as a process of ours: started under its guard, and ended for sure."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine import guard, guard_windows
from byoi_agent.engine.leftovers import MARK, new_run, processes_of, sweep
from byoi_agent.engine.listeners import open_to_others

if sys.platform == "win32":
    from subprocess import CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 3.0
"""How long an engine has after the agent is gone, or leaves in a hurry."""

_LOG_LINES: Final = 200  # vLLM tells a failure twice, each time with its whole traceback
_LOG_LINE_BYTES: Final = 2000
_TOLD_CHARACTERS: Final = 200
_SIGKILL: Final = -9
# All that an engine may know of our environment: no key of the agent's is among it.
_PASSED: Final = frozenset(
    {"CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"}
    if sys.platform != "win32"
    else {"CUDA_VISIBLE_DEVICES", "PATH", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "WINDIR"}
)
if sys.platform == "win32":
    _GUARD: Final = guard_windows.__file__
    # A console of its own, which nobody sees: Ctrl-Break reaches only those who share one.
    _APART: Final[dict[str, Any]] = {"creationflags": CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP}
else:
    _GUARD: Final = guard.__file__
    _APART: Final[dict[str, Any]] = {"start_new_session": True}


@dataclass(frozen=True)
class LaunchSpec:
    """How to start an engine; `stop_seconds` is what it may take to leave when asked.

    `leaves` are files and folders that it does not clear away itself.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 5.0
    leaves: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a run ended; `code` is negative for a signal, None when nobody saw it."""

    code: int | None
    log: tuple[str, ...] = ()

    def in_words(self, told: str | None = None) -> str:
        """For its owner, where no known failure explains it; `told` is what its log says of it."""
        if self.code == _SIGKILL:
            return "it was killed (signal 9), as the system does to what takes too much memory"
        last = told or next((line for line in reversed(self.log) if line), "it wrote nothing")
        return f"it ended with code {self.code}: {last[:_TOLD_CHARACTERS]}"


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class EngineProcess:
    """Sole owner of one run: its guard, the tail of its log, its record on disk."""

    def __init__(
        self, spec: LaunchSpec, *, records: Path, on_started: Callable[[int], None]
    ) -> None:
        self._spec = spec
        self._records = records
        self._on_started = on_started
        self._run = new_run(uuid.uuid4().hex)
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._leash: asyncio.StreamWriter | None = None
        self._early = b""
        self._code: int | None = None
        self._has_ended = False

    async def run(self) -> Ended:
        """Until the engine and all it started are gone; being cancelled ends them."""
        self._run.save(self._records)
        process = await self._start()
        assert process.stdout is not None
        assert process.stderr is not None
        self._leash = process.stdin
        self._order(self._early)  # given while it was being started
        try:
            async with asyncio.TaskGroup() as tasks:
                log = tasks.create_task(self._read_log(process.stderr), name="engine log")
                await self._read_reports(process.stdout)  # the guard alone holds its other end
                if not self._has_ended:
                    await sweep(self._run)
                await asyncio.wait([log], timeout=1.0)  # an escaped process may keep it open
                log.cancel()
        finally:
            await self._end(process)
        return Ended(self._code, tuple(self._log))

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the guard. Cancelled in the midst of it, asyncio would kill the guard alone."""
        started: asyncio.Future[asyncio.subprocess.Process]
        started = asyncio.get_running_loop().create_future()
        try:
            await asyncio.shield(self._launch(started))
        except asyncio.CancelledError:
            while not started.done():  # a few turns of the loop
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([started])
            if not started.cancelled() and started.exception() is None:
                self._leash = started.result().stdin
                await self._end(started.result())
            raise
        return started.result()

    async def _launch(self, started: asyncio.Future[asyncio.subprocess.Process]) -> None:
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _GUARD, str(GRACE_SECONDS), *self._spec.argv),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                **_APART,  # else Ctrl-C in a terminal would reach the engine first
                env={**environment, **self._spec.environment, MARK: self._run.mark},
            )
        except (OSError, ValueError) as error:  # whoever waits for it hears of it
            started.set_exception(error)
        else:
            started.set_result(process)
        finally:
            started.cancel()  # whatever else may have happened: nobody waits for ever

    def terminate(self, within_seconds: float | None = None) -> None:
        """Ask the engine to leave; the guard kills it when its time, or the one given, is up."""
        seconds = self._spec.stop_seconds
        if within_seconds is not None:
            seconds = min(seconds, within_seconds)
        self._order(f"terminate {seconds:g}\n".encode())

    def kill(self) -> None:
        """End it now, with all it started."""
        self._order(b"kill\n")

    async def exposed(self) -> tuple[str, ...]:
        """Addresses at which others than this machine could reach one of its processes."""
        return await asyncio.to_thread(lambda: open_to_others(processes_of(self._run)))

    def _order(self, line: bytes) -> None:
        if self._leash is None:
            self._early += line
        elif line and not self._leash.is_closing():
            self._leash.write(line)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """The guard does the ending, also if we are cancelled again while we wait for it."""
        if self._leash is not None:
            self._leash.close()
        try:
            async with asyncio.timeout(GRACE_SECONDS + 5.0):
                await process.wait()
        except TimeoutError:
            logger.exception("engine guard is stuck", extra={"pid": process.pid})
            with suppress(ProcessLookupError):
                process.kill()
        if not self._has_ended:
            await sweep(self._run)
        self._run.forget(self._records)
        for path in self._spec.leaves:
            await asyncio.to_thread(_clear, path)

    async def _read_reports(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            report = json.loads(line)
            if "started" in report:
                pid, ticks = report["started"], report["ticks"]
                self._run = replace(self._run, engine_pid=pid, engine_ticks=ticks)
                self._run.save(self._records)
                self._on_started(pid)
            elif "exited" in report:
                self._code, self._has_ended = report["exited"], True

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        """Keep the last lines; read on whatever comes, as a full pipe would stop the engine."""
        rest = b""
        while data := await stream.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_LOG_LINE_BYTES:]
            for line in lines:
                text = line[:_LOG_LINE_BYTES].decode(errors="replace").strip()
                self._log.append(text)
                logger.debug("engine said", extra={"line": text})
        if rest:
            self._log.append(rest.decode(errors="replace").strip())

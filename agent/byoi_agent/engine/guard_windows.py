"""What `guard.py` is elsewhere: no process of the engine outlives it, or the agent.

`python -I -S guard_windows.py GRACE_SECONDS ARGV…`, standard library only, with the same words on
standard input and output. It puts itself into a job that the system ends with its last handle, and
starts the engine in it: killed, however that happens, it takes all of them along. A gentle end is
Ctrl-Break, which only the engine gets, as the leader of a group of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.02
_AGAIN_SECONDS = 1.0
_CLEAR_SECONDS = 10.0

MEMORY_SHARE = 0.9
"""Of what the system can promise (memory and page files) an engine gets no more than this.

Its own allocation fails then, and not the owner's programs'. It is no less, as the memory of GPUs
counts against the same sum with the drivers of desktops.
"""

ENDED = "ended"
LEASH_GONE = "leash gone"


class Engine(Protocol):
    """The process; `subprocess.Popen` is one."""

    pid: int

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        ...

    def kill(self) -> None:
        """End it now."""
        ...


class Job(Protocol):
    """All processes that came of the guard, itself among them."""

    def others(self) -> list[int]:
        """Those that still run, without the guard."""
        ...

    def end(self, pid: int) -> None:
        """End one of them, if it is there."""
        ...

    def ask_to_leave(self, pid: int) -> None:
        """Ctrl-Break for that one and its group."""
        ...


class Guard:
    """Sole owner of the engine's process tree."""

    def __init__(
        self,
        engine: Engine,
        job: Job,
        *,
        grace_seconds: float,
        report: Callable[[dict[str, int]], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._engine = engine
        self._job = job
        self._grace_seconds = grace_seconds
        self._report = report
        self._now = now
        self._deadline: float | None = None
        report({"started": engine.pid, "ticks": 0})

    def run(self) -> None:
        """Until the engine has ended and nothing of it is left."""
        while (word := self._next()) != ENDED:
            self._obey(word)
        code = self._engine.wait()
        self._clear()
        self._report({"exited": code})

    def _next(self) -> str:
        left = None if self._deadline is None else max(0.0, self._deadline - self._now())
        try:
            return self.words.get(timeout=left)
        except queue.Empty:
            return "kill"

    def _obey(self, line: str) -> None:
        word, _, seconds = line.partition(" ")
        if word == "terminate":
            self._terminate(float(seconds))
        elif word == LEASH_GONE.partition(" ")[0]:
            self._terminate(self._grace_seconds)
        elif word == "kill":
            self._deadline = self._now() + _AGAIN_SECONDS
            self._kill()

    def _terminate(self, grace_seconds: float) -> None:
        deadline = self._now() + grace_seconds
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        if grace_seconds > 0:
            self._job.ask_to_leave(self._engine.pid)

    def _kill(self) -> list[int]:
        with suppress(OSError):
            self._engine.kill()
        left = self._job.others()
        for pid in left:
            self._job.end(pid)
        return left

    def _clear(self) -> None:
        """End what the engine left behind; what does not die now dies with the job."""
        until = self._now() + _CLEAR_SECONDS
        while self._kill() and self._now() < until:
            time.sleep(_POLL_SECONDS)


def read_leash(read: Callable[[], bytes], words: queue.SimpleQueue[str]) -> None:
    """Each line that the agent writes, and its end."""
    held = b""
    while data := read():
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            words.put(line.decode())
    words.put(LEASH_GONE)


class _BasicLimits(ctypes.Structure):
    """`JOBOBJECT_BASIC_LIMIT_INFORMATION`."""

    _fields_ = [
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    ]


class _Limits(ctypes.Structure):
    """`JOBOBJECT_EXTENDED_LIMIT_INFORMATION`."""

    _fields_ = [
        ("basic", _BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    ]


class _Memory(ctypes.Structure):
    """`MEMORYSTATUSEX`."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "promised", "to_promise")),
        *((name, ctypes.c_uint64) for name in ("virtual", "free_virtual", "extended")),
    ]


class _Members(ctypes.Structure):
    """`JOBOBJECT_BASIC_PROCESS_ID_LIST` with room for many."""

    _fields_ = [
        ("assigned", ctypes.c_uint32),
        ("listed", ctypes.c_uint32),
        ("pids", ctypes.c_size_t * 1024),
    ]


class Sizes(NamedTuple):
    """What Windows' headers say that the structures take, for the test."""

    limits: int = ctypes.sizeof(_Limits)
    memory: int = ctypes.sizeof(_Memory)
    pids_at: int = _Members.pids.offset


if sys.platform == "win32":
    import signal
    from ctypes import wintypes

    _END_WITH_LAST_HANDLE = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    _MEMORY_OF_ALL = 0x200  # JOB_OBJECT_LIMIT_JOB_MEMORY
    _NO_DIALOG_OF_A_CRASH = 0x400  # JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION
    _EXTENDED_LIMITS = 9
    _PROCESS_IDS = 3
    _MAY_END = 0x1  # PROCESS_TERMINATE

    class SystemJob:
        """A job of the system with this process in it; see `Job`."""

        def __init__(self) -> None:
            self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            self._kernel.CreateJobObjectW.restype = wintypes.HANDLE
            self._kernel.OpenProcess.restype = wintypes.HANDLE
            self._kernel.GetCurrentProcess.restype = wintypes.HANDLE
            self._job = wintypes.HANDLE(self._kernel.CreateJobObjectW(None, None))
            limits = _Limits()
            limits.basic.flags = _END_WITH_LAST_HANDLE | _MEMORY_OF_ALL | _NO_DIALOG_OF_A_CRASH
            limits.job_memory = int(MEMORY_SHARE * self._can_be_promised())
            size = ctypes.sizeof(limits)
            self._must(
                self._kernel.SetInformationJobObject(
                    self._job, _EXTENDED_LIMITS, ctypes.byref(limits), size
                )
            )
            me = wintypes.HANDLE(self._kernel.GetCurrentProcess())
            self._must(self._kernel.AssignProcessToJobObject(self._job, me))

        def others(self) -> list[int]:
            """Asked of the job, so that nobody needs to be seen starting."""
            told = _Members()
            self._kernel.QueryInformationJobObject(
                self._job, _PROCESS_IDS, ctypes.byref(told), ctypes.sizeof(told), None
            )
            return [pid for pid in told.pids[: told.listed] if pid != os.getpid()]

        def end(self, pid: int) -> None:
            """Nothing where it has gone meanwhile."""
            handle = wintypes.HANDLE(self._kernel.OpenProcess(_MAY_END, False, pid))
            if handle.value:
                self._kernel.TerminateProcess(handle, 1)
                self._kernel.CloseHandle(handle)

        def ask_to_leave(self, pid: int) -> None:
            """Both have the console that the guard was given, which nobody sees."""
            with suppress(OSError):
                os.kill(pid, signal.CTRL_BREAK_EVENT)

        def _can_be_promised(self) -> int:
            told = _Memory(ctypes.sizeof(_Memory))
            self._must(self._kernel.GlobalMemoryStatusEx(ctypes.byref(told)))
            return int(told.promised)

        def _must(self, worked: int) -> None:
            if not worked:
                raise ctypes.WinError(ctypes.get_last_error())

    def main() -> None:
        """Start the engine and stay until it is gone."""
        job = SystemJob()
        engine = subprocess.Popen(  # noqa: S603 the agent chose what to start
            sys.argv[2:],
            stdin=subprocess.DEVNULL,
            stdout=2,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        guard = Guard(engine, job, grace_seconds=float(sys.argv[1]), report=_report)

        def ended() -> None:
            engine.wait()
            guard.words.put(ENDED)

        leash = (lambda: os.read(0, 4096), guard.words)
        threading.Thread(target=read_leash, args=leash, daemon=True).start()
        threading.Thread(target=ended, daemon=True).start()
        guard.run()

    def _report(event: dict[str, int]) -> None:
        with suppress(OSError):  # nobody listens any more; the leash says so as well
            os.write(1, json.dumps(event).encode() + b"\n")

    if __name__ == "__main__":
        main()

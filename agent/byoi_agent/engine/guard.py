"""Stands between the agent and one engine, so that the engine's processes never outlive either.

`python -I -S guard.py GRACE_SECONDS ARGV…`, standard library only. Standard input is the leash: the
agent writes `terminate SECONDS` or `kill` lines, and its end means that the agent is gone. Standard
output reports, one JSON object a line: `{"started": pid, "ticks": …}`, then `{"exited": code}`.
Whatever the engine writes goes to standard error.

However it ends, nothing that the engine started is left: orphans come to this process, as it is
their subreaper, and it goes last. Killed itself, it takes the engine with it; what the engine had
started is then the agent's to clear (`process.py`).
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02

_TRACKER = b"multiprocessing.resource_tracker"
TRACKER_SECONDS = 1.0
"""Python's tracker takes shared memory away that its killed users left in /dev/shm, and ends."""


def prctl(option: int, value: int) -> None:
    """Linux's; elsewhere the leash and the process group must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def stat_of(pid: int) -> tuple[str, int, int, int] | None:
    """A process's state letter, parent, session and start time in ticks; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[3]), int(fields[19])


def descendants() -> list[int]:
    """All processes below this one that still run."""
    parents: dict[int, list[int]] = {}
    dead: set[int] = set()
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if entry.name.isdigit() and (stat := stat_of(int(entry.name))):
            parents.setdefault(stat[1], []).append(int(entry.name))
            if stat[0] in "ZX":  # whose children may have been read before they came to us
                dead.add(int(entry.name))
    found, todo = [], [os.getpid()]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return [pid for pid in found if pid not in dead]


def is_tracker(pid: int) -> bool:
    """Whether it is the process that clears shared memory away once its users are gone."""
    try:
        return _TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Guard:
    """Sole owner of the engine's process tree."""

    def __init__(self, argv: list[str], grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._deadline: float | None = None
        self._lines = b""
        self._has_leash = True
        self._engine = subprocess.Popen(  # noqa: S603 the agent chose what to start
            argv,
            stdin=subprocess.DEVNULL,
            stdout=2,
            start_new_session=True,
            preexec_fn=self._leash_child,  # noqa: PLW1509 no thread has been started here
        )
        stat = stat_of(self._engine.pid)
        self._report({"started": self._engine.pid, "ticks": stat[3] if stat else 0})

    def run(self) -> None:
        """Until the engine has ended and nothing of it is left."""
        if sys.platform == "win32":
            return
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while self._engine.poll() is None:
                for key, _ in selector.select(self._seconds_left()):
                    if key.fd == wake_read:
                        os.read(wake_read, 512)
                    elif not self._read_leash():
                        selector.unregister(0)
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._kill(spares_trackers=True)
                    self._deadline = time.monotonic() + 1.0
                reap(except_pid=self._engine.pid)
        self._clear()
        self._report({"exited": self._engine.returncode})

    def _leash_child(self) -> None:
        if sys.platform == "win32":
            return
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # the guard died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _read_leash(self) -> bool:
        """Obey what the agent writes; False once it is gone."""
        data = os.read(0, 4096)
        if not data:
            self._terminate(self._grace_seconds)
            return False
        *lines, self._lines = (self._lines + data).split(b"\n")
        for line in lines:
            word, _, seconds = line.decode().partition(" ")
            if word == "terminate":
                self._terminate(float(seconds))
            elif word == "kill":
                self._terminate(0.0)
        return True

    def _terminate(self, grace_seconds: float) -> None:
        """Ask the engine to leave; when the time is up it is killed with all it started."""
        deadline = time.monotonic() + grace_seconds
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        if grace_seconds > 0:
            with suppress(ProcessLookupError):
                self._engine.send_signal(signal.SIGTERM)

    def _kill(self, *, spares_trackers: bool) -> list[int]:
        """End all of it that still runs; returns what that was."""
        if sys.platform == "win32":
            return []
        if sys.platform != "linux":  # where nobody lists what has been started
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._engine.pid, signal.SIGKILL)
        self._engine.kill()
        left = descendants()
        for pid in left:
            if not (spares_trackers and is_tracker(pid)):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        return left

    def _clear(self) -> None:
        """End what the engine left behind; it may take a moment to die, and more may be born."""
        until = time.monotonic() + TRACKER_SECONDS
        while self._kill(spares_trackers=time.monotonic() < until):
            time.sleep(_POLL_SECONDS)
            reap(except_pid=self._engine.pid)

    def _report(self, event: dict[str, int]) -> None:
        with suppress(BrokenPipeError):  # nobody listens any more; the leash says so as well
            os.write(1, json.dumps(event).encode() + b"\n")


def reap(*, except_pid: int) -> None:
    """Collect orphans that came to us and have ended; the engine itself is Popen's to collect."""
    if sys.platform != "linux":  # no orphan comes to us, and Python's `waitid` is not there
        return
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == except_pid:
            return
        os.waitpid(found.si_pid, 0)


def main() -> None:
    """Start the engine and stay until it is gone."""
    if sys.platform == "win32":
        return  # there `guard_windows.py` does it
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        # The leash alone commands. Not SIG_IGN, which the engine would inherit.
        signal.signal(number, lambda *_: None)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    Guard(sys.argv[2:], float(sys.argv[1])).run()


if __name__ == "__main__":
    main()

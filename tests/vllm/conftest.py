"""One real vLLM for all tests here: `byoi demo --engine vllm`, and what it takes to ask it.

Nothing here is ever skipped: where vLLM cannot be set up, that is the failure to be seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import platformdirs
import psutil
import pytest
from openai import OpenAI

BYOI = Path(sys.executable).with_name("byoi")
SET_UP_SECONDS = 1500
"""The first time an environment of two gigabytes is fetched and compiled; on two cores, minutes."""

START_SECONDS = 600
END_SECONDS = 240


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(SET_UP_SECONDS + START_SECONDS))


class Machine:
    """A home and a temporary folder of its own, the user's cache, and all that was started here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"vllm-test-{os.urandom(8).hex()}"
        cache = os.environ.get("BYOI_CACHE_DIR") or platformdirs.user_cache_path(
            "byoi", appauthor=False
        )
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BYOI_", "XDG_"))
        }
        self.env = {
            **kept,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BYOI_CACHE_DIR": str(cache),
            "TEST_MARK": self.mark,
            "PYTHONUNBUFFERED": "1",
        }
        self.known: set[psutil.Process] = set()

    def run(self, *argv: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BYOI, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=self.env,
        )

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [BYOI, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )

    def log(self) -> str:
        return (self.folder / "log").read_text()[-6000:]

    def processes(self) -> list[psutil.Process]:
        """Those that live and were started here, however far down."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get("TEST_MARK") == self.mark or process in self.known:
                    found.append(process)
        return found

    def remember(self, pid: int) -> None:
        """An engine gets no variable of ours that is not for it, so it is known by its parent."""
        self.known.update(psutil.Process(pid).children(recursive=True))

    def wait_until(self, condition, seconds: float, told):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, told()
            time.sleep(0.1)
        return found

    def nothing_runs(self, seconds: float = END_SECONDS) -> None:
        self.wait_until(
            lambda: not self.processes(),
            seconds,
            lambda: [process.cmdline() for process in self.processes()],
        )

    def leftovers(self) -> list[str]:
        """Sockets that are still there."""
        return [str(path) for path in self.folder.rglob("*") if path.is_socket()]


@pytest.fixture(scope="session")
def machine():
    with tempfile.TemporaryDirectory(prefix="bv-", dir="/tmp") as folder:  # sockets: short paths
        machine = Machine(Path(folder))
        yield machine
        for process in machine.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture(scope="session")
def installed(machine):
    """The environment, as an owner without a terminal would get it."""
    done = machine.run("engines", "install", "vllm", "--yes", "--json", seconds=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Demo:
    """A demo that stays up."""

    def __init__(self, machine: Machine, process: subprocess.Popen[bytes], ready: dict) -> None:
        self.machine = machine
        self.process = process
        self.ready = ready
        self.model = ready["model"]
        self.client = OpenAI(
            base_url=ready["base_url"], api_key=ready["api_key"], max_retries=0, timeout=120
        )

    @property
    def engine(self) -> dict:
        return self.ready["nodes"][0]["engine"]

    @property
    def socket(self) -> Path:
        return Path(self.engine["url"].removeprefix("unix://"))

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(END_SECONDS)


@pytest.fixture(scope="session")
def start_demo(machine, installed):
    """Start demos that stay up; what is left of them at the end is killed."""
    started, clients = [], []

    def start(*argv: str) -> Demo:
        ready = machine.folder / f"ready-{len(started)}.json"
        process = machine.start(
            *("demo", "--engine", "vllm", "--port", "0", "--ready-file", str(ready), *argv)
        )
        started.append(process)
        machine.wait_until(
            lambda: ready.exists() or process.poll() is not None, START_SECONDS, machine.log
        )
        assert process.poll() is None, machine.log()
        machine.remember(process.pid)
        demo = Demo(machine, process, json.loads(ready.read_text()))
        clients.append(demo.client)
        return demo

    yield start
    for client in clients:
        client.close()
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def demo(start_demo):
    """One node with a vLLM of its own, shared by all tests that leave it as it was."""
    return start_demo()

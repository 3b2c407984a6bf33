"""`byoi demo` as newcomers and programs use it: all that it promises, and nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import platformdirs
import psutil
import pytest

BYOI = Path(sys.executable).with_name("byoi")
PROMPT = "What is the capital of France?"
START_SECONDS = 240
END_SECONDS = 120


class Machine:
    """A user's home and temporary folder, and all processes that were started there."""

    def __init__(self, folder: Path, short: Path) -> None:
        self.folder = folder
        self.short = short  # sockets live below it
        self.mark = f"demo-test-{os.urandom(8).hex()}"
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
            "TMPDIR": str(short),
            "BYOI_CACHE_DIR": str(cache),
            "TEST_MARK": self.mark,
            "PYTHONUNBUFFERED": "1",
        }
        self.known: set[psutil.Process] = set()

    async def run(self, *argv: str, seconds: float = START_SECONDS, code: int | None = 0):
        """A command to its end: what it wrote to standard output and to standard error."""
        process = await self.start(*argv, pipes=True)
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if code is not None:
            assert process.returncode == code, (argv, out.decode(), err.decode())
        return out.decode(), err.decode()

    async def start(self, *argv: str, pipes: bool = False):
        with (self.folder / "log").open("ab") as log:
            to = asyncio.subprocess.PIPE if pipes else log
            return await asyncio.create_subprocess_exec(
                BYOI, *argv, stdin=asyncio.subprocess.DEVNULL, stdout=to, stderr=to, env=self.env
            )

    def processes(self) -> list[psutil.Process]:
        """Those that live and were started here: by their environment, or known from before."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                is_ours = process.environ().get("TEST_MARK") == self.mark
                if is_ours or process in self.known:
                    found.append(process)
        return found

    async def nothing_runs(self, seconds: float = END_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while left := self.processes():
            assert time.monotonic() < deadline, [process.cmdline() for process in left]
            await asyncio.sleep(0.05)

    def leftovers(self) -> list[str]:
        """Sockets, and folders of demos, that are still there."""
        return [
            str(path)
            for path in self.short.rglob("*")
            if stat.S_ISSOCK(path.lstat().st_mode) or path.name.startswith("byoi-demo-")
        ]


class Demo:
    """One demo that stays up."""

    def __init__(self, machine: Machine, process, ready: dict) -> None:
        self.machine = machine
        self.process = process
        self.ready = ready

    @property
    def nodes(self) -> list[dict]:
        return self.ready["nodes"]

    async def ask(self, **fields) -> dict:
        body = {
            "model": self.ready["model"],
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": 8,
            **fields,
        }
        headers = {"Authorization": f"Bearer {self.ready['api_key']}"}
        url = self.ready["base_url"] + "/chat/completions"
        async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as r:
            assert r.status == 200, await r.text()
            return await r.json()

    async def get(self, url: str, key: str) -> dict:
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def booked(self, requests: int) -> dict:
        """The console's totals, once it has booked so many: an answer is over a moment earlier."""
        console = self.ready["console"]
        while True:
            usage = await self.get(console["url"] + "/api/usage", console["admin_api_key"])
            if usage["totals"]["requests"] >= requests:
                assert usage["totals"]["requests"] == requests
                return usage["totals"]
            await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        async with asyncio.timeout(END_SECONDS):
            return await self.process.wait()


@pytest.fixture
async def machine(tmp_path):
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as short:
        machine = Machine(tmp_path, Path(short))
        yield machine
        for process in machine.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture
async def demo(machine):
    """Start demos that stay up."""
    started = []

    async def start(*argv: str) -> Demo:
        file = machine.folder / "ready.json"
        file.unlink(missing_ok=True)
        process = await machine.start("demo", "--ready-file", str(file), *argv)
        started.append(process)
        async with asyncio.timeout(START_SECONDS):
            while not file.exists():
                said = (machine.folder / "log").read_text()[-4000:]
                assert process.returncode is None, said
                await asyncio.sleep(0.05)
        machine.known.update(psutil.Process(process.pid).children(recursive=True))
        return Demo(machine, process, json.loads(file.read_text()))

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def engine_url(shared) -> str:
    """The stand-in engine, as somebody's server that already runs."""
    return shared.engine.ready["url"]


async def test_one_answer_for_a_program(machine, real):
    out, err = await machine.run("demo", "--once", PROMPT, "--json")
    told = json.loads(out)
    assert told["prompt"] == PROMPT
    assert "Paris" in told["answer"]
    assert err == ""
    await machine.nothing_runs()
    assert machine.leftovers() == []


async def test_one_answer_alone(machine, engine_url):
    out, err = await machine.run("demo", "--engine", engine_url, "--once", "hm", "--quiet")
    assert out.endswith("\n")
    assert out.count("harbour") > 1  # words of the stand-in
    assert err == ""
    chatty, progress = await machine.run("demo", "--engine", engine_url, "--once", "hm")
    assert chatty == out
    assert "Starting the console" in progress


async def test_all_that_the_ready_file_says_can_be_used(machine, demo, real, is_alive):
    run = await demo("--nodes", "2", "--port", "0", "--quiet")
    ready = run.ready
    assert stat.S_IMODE((machine.folder / "ready.json").stat().st_mode) == 0o600
    assert ready["model"] == real
    answers = await asyncio.gather(*(run.ask() for _ in range(4)))
    assert all("capital" in answer["choices"][0]["message"]["content"] for answer in answers)

    console = ready["console"]
    assert ready["base_url"] == console["url"] + "/v1"
    assert "@" in console["admin_email"]
    assert len(console["admin_password"]) >= 12
    listed = await run.get(console["url"] + "/api/nodes", console["admin_api_key"])
    assert {node["node_id"] for node in listed["data"]} == {node["node_id"] for node in run.nodes}
    assert {node["state"] for node in listed["data"]} == {"online"}
    booked = await run.booked(5)  # its own first question included

    assert len({node["node_id"] for node in run.nodes}) == 2
    for node in run.nodes:
        status = await run.get(node["control_url"] + "/api/status", node["control_token"])
        assert status["node_id"] == node["node_id"]
        assert status["pid"] == node["pid"]
        assert status["is_serving"]
        assert node["engine"]["kind"] == "llamacpp"
        assert Path(node["engine"]["url"].removeprefix("unix://")).is_socket()
    pids = [console["pid"]]
    pids += [pid for node in run.nodes for pid in (node["pid"], node["engine"]["pid"])]
    assert len(set(pids)) == 5
    assert all(is_alive(pid) for pid in pids)
    _assert_loopback_only(machine)

    usage = json.loads((await machine.run("usage", "--json"))[0])
    assert usage["totals"] == {name: booked[name] for name in usage["totals"] if name in booked}
    shown = json.loads((await machine.run("status", "--json"))[0])
    assert {node["node_id"] for node in shown["nodes"]} == {n["node_id"] for n in run.nodes}

    assert await run.end(signal.SIGINT) == 0
    await machine.nothing_runs()
    assert machine.leftovers() == []


def _assert_loopback_only(machine: Machine) -> None:
    for process in machine.processes():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip in {"127.0.0.1", "::1"}, process.cmdline()


@pytest.mark.slow
async def test_the_same_folder_goes_on_where_it_was(machine, demo, engine_url):
    data = machine.folder / "state"
    argv = ("--engine", engine_url, "--nodes", "2", "--port", "0", "--data-dir", str(data))
    first = await demo(*argv)
    await first.ask()
    _, told = await machine.run("demo", *argv, "--once", "hm", code=None)
    assert f"already running as pid {first.process.pid}" in told
    assert "Traceback" not in told
    before = await first.booked(2)
    assert await first.end(signal.SIGTERM) == 0
    await machine.nothing_runs()
    assert machine.leftovers() == []

    second = await demo(*argv)
    assert [n["node_id"] for n in second.nodes] == [n["node_id"] for n in first.nodes]
    for name in ("api_key", "model"):
        assert second.ready[name] == first.ready[name]
    for name in ("admin_email", "admin_password", "admin_api_key"):
        assert second.ready["console"][name] == first.ready["console"][name]
    await second.ask()
    after = await second.booked(4)
    assert after["total_tokens"] > before["total_tokens"]
    secrets = [
        path for path in data.rglob("*") if path.is_file() and b"sk-byoi-" in path.read_bytes()
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert await second.end(signal.SIGINT) == 0


@pytest.mark.slow
async def test_a_demo_that_is_killed_leaves_no_orphan(machine, demo, real, engine_url):
    folder = ("--port", "0", "--data-dir", str(machine.folder / "state"))
    run = await demo(*folder)
    assert len(machine.processes()) >= 4  # the demo, the console, a node and its engine
    await run.end(signal.SIGKILL)
    await machine.nothing_runs()
    out, _ = await machine.run("demo", *folder, "--engine", engine_url, "--once", "hm")
    assert out  # nor anything that keeps the next one from starting


@pytest.mark.slow
async def test_a_demo_that_is_interrupted_while_it_starts(machine, deployment):
    engine = await deployment.start_fake_engine()
    await deployment.engine_control(engine, first_token_seconds=600)  # it cannot be through before
    process = await machine.start("demo", "--engine", engine.ready["url"], "--port", "0")
    async with asyncio.timeout(START_SECONDS):
        while "Starting the console" not in (machine.folder / "log").read_text():
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(END_SECONDS):
        assert await process.wait() == 130
    assert "Traceback" not in (machine.folder / "log").read_text()
    await machine.nothing_runs()
    assert machine.leftovers() == []


@pytest.mark.slow
async def test_a_port_that_is_taken(machine, engine_url):
    with contextlib.ExitStack() as taken:
        usual = taken.enter_context(socket.socket())
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else's is as good
            usual.bind(("127.0.0.1", 8700))
            usual.listen()
        _, err = await machine.run("demo", "--engine", engine_url, "--once", "hm")
        assert "8700 is taken" in err
        other = taken.enter_context(socket.socket())
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        argv = ("demo", "--engine", engine_url, "--once", "hm", "--port", str(port))
        out, err = await machine.run(*argv, code=None)
        assert out == ""
        assert str(port) in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--model", "smollm"], "did you mean 'smollm2-135m-instruct'"),
        (["--engine", "http://127.0.0.1:9"], "no engine answers at http://127.0.0.1:9"),
        (["--engine", "{url}", "--model", "gpt-4o"], "does not offer 'gpt-4o'; it offers stand-in"),
        (["--engine", "nonsense"], "nonsense"),
        (["--nodes", "0"], "--nodes"),
        (["--port", "99999"], "--port"),
        (["--data-dir", "/proc/nowhere"], "/proc/nowhere"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
async def test_what_cannot_be_is_said_in_a_sentence(machine, engine_url, argv, said):
    filled = [part.replace("{url}", engine_url) for part in argv]
    out, err = await machine.run("demo", "--once", "hm", "--port", "0", *filled, code=None)
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert len(err) < 1000
    await machine.nothing_runs()
    assert machine.leftovers() == []


async def test_nobody_to_ask_is_said_in_a_sentence(machine):
    _, err = await machine.run("status", "--json", code=None)
    assert "byoi demo" in err
    assert "Traceback" not in err

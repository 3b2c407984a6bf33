"""A node's life as its owner and the service manager see it: reload, drain, readiness, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest
import pytest_asyncio
import tomlkit

from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import read_place
from byoi_agent.errors import ConfigError

TOKENS = 40
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for."""
BYOI = Path(sys.executable).parent / "byoi"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory, helper):
    """A console, a stand-in engine, and a node that is enrolled."""
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        folder = tmp_path_factory.mktemp("lifecycle")
        async with helper("deployment").Deployment(folder, Path(runtime)) as deployment:
            await deployment.start_console()
            deployment.engine = await deployment.start_fake_engine()
            await deployment.enrol("node")
            yield deployment


@pytest_asyncio.fixture(loop_scope="module")
async def deployment(place):
    """The place with settings as they were, and nothing of ours running at the end."""
    settings(place.folder / "node", engine=place.engine.ready["url"], drain_seconds=SLOW_SECONDS)
    environment, kept = dict(place.env), len(place.processes)
    yield place
    await place.let_go(place.engine)
    place.env = environment
    while len(place.processes) > kept:
        await place.processes.pop().stop()


@pytest_asyncio.fixture(loop_scope="module")
async def node(deployment):
    return await deployment.run_node("node")


def settings(data: Path, **values) -> None:
    (data / "config.toml").write_text(tomlkit.dumps(values))


def client_of(deployment):
    return ControlClient.at(read_place(deployment.folder / "node" / "control.json"))


async def status(deployment):
    return await asyncio.to_thread(client_of(deployment).status)


async def running_streams(deployment, tasks, count):
    """So many in the middle of their answers, where they stay until the engine is let go."""
    await deployment.hold(deployment.engine, TOKENS // 2)
    fields = {"max_tokens": TOKENS, "stream_options": {"include_usage": True}}
    streams = [
        tasks.create_task(deployment.chat(f"question {number}", model="stand-in", **fields))
        for number in range(count)
    ]

    async def all_run():
        return (await deployment.engine_stats(deployment.engine))["running"] == count

    await deployment.until(all_run)
    return streams


async def test_another_engine_takes_over_without_a_stream_being_cut(deployment, node):
    second = await deployment.start_fake_engine("second", "--models", "other")
    async with asyncio.TaskGroup() as tasks:
        streams = await running_streams(deployment, tasks, 6)
        settings(deployment.folder / "node", engine=second.ready["url"], log_level="debug")
        node.process.send_signal(signal.SIGHUP)

        async def is_draining():
            return (await status(deployment)).engine.state == "draining"

        await deployment.until(is_draining)
        assert not any(stream.done() for stream in streams)
        await deployment.let_go(deployment.engine)
    answers = [stream.result() for stream in streams]
    assert all(answer.is_complete for answer in answers)
    assert {answer.usage["completion_tokens"] for answer in answers} == {TOKENS}

    async def serves_the_other():
        """And the console has heard of it."""
        offered = [model["id"] for one in await deployment.nodes() for model in one["models"]]
        return (await status(deployment)).engine.models == ("other",) and offered == ["other"]

    await deployment.until(serves_the_other)
    assert (await deployment.chat("to the new one", model="other")).is_complete
    report = await status(deployment)
    # But where the machine stood still for so long that the one or the other gave the link up.
    logs = node.log.read_text() + deployment.console.log.read_text()
    assert report.link.connects <= 1 + logs.count("pings unanswered") + logs.count("clock jumped")

    async def all_are_booked():
        outcomes = [row["outcome"] for row in await deployment.rows()]
        return outcomes == ["complete"] * 7

    await deployment.until(all_are_booked)


async def test_reloads_under_load_drop_nothing(deployment, node):
    data = deployment.folder / "node"
    async with asyncio.TaskGroup() as tasks:
        streams = await running_streams(deployment, tasks, 4)
        for slots in (2, 8, 4):
            settings(data, engine=deployment.engine.ready["url"], slots=slots, queue=slots)
            node.process.send_signal(signal.SIGHUP)

            async def holds(slots=slots):
                return (await status(deployment)).slots == slots

            await deployment.until(holds)
        await deployment.let_go(deployment.engine)
    assert all(stream.result().is_complete for stream in streams)


@pytest.mark.slow
async def test_a_bad_file_changes_nothing_and_is_told_until_it_is_mended(deployment, node):
    data = deployment.folder / "node"
    (data / "config.toml").write_text("slotz = 1\n")
    node.process.send_signal(signal.SIGHUP)

    async def names():
        return {warning.name: warning for warning in (await status(deployment)).warnings}

    async def is_told():
        return "settings-not-taken" in await names()

    await deployment.until(is_told)
    assert "did you mean 'slots'" in (await names())["settings-not-taken"].text
    settings(data, engine="http://127.0.0.1:9", slots=1, log_file=str(data / "none" / "x.log"))
    with pytest.raises(ConfigError, match="there is no folder"):
        await asyncio.to_thread(client_of(deployment).reload)
    assert (await status(deployment)).slots == 8
    assert (await deployment.chat("still here", model="stand-in", max_tokens=1)).is_complete
    settings(data, engine=deployment.engine.ready["url"], control_port=1)
    said = await deployment.program("byoi", "reload", "--data-dir", data)
    assert "Needs a restart: control_port." in said
    assert set(await names()) & {"settings-not-taken", "restart-needed"} == {"restart-needed"}


async def test_the_service_manager_hears_of_the_whole_life(deployment):
    data = deployment.folder / "node"
    with listening(deployment) as heard:
        deployment.env |= {"NOTIFY_SOCKET": heard.name, "WATCHDOG_USEC": "400000"}
        node = await deployment.run_node("node")
        await heard.until("STATUS=serves stand-in")
        lines = heard.lines
        assert lines[0] == "READY=1"
        await heard.until("WATCHDOG=1", count=3)
        settings(data, engine=deployment.engine.ready["url"], slots=1)
        node.process.send_signal(signal.SIGHUP)
        await heard.until("RELOADING=1")
        await heard.until("READY=1", count=2)
        assert any(line.startswith("MONOTONIC_USEC=") for line in lines)
        async with asyncio.TaskGroup() as tasks:
            (stream,) = await running_streams(deployment, tasks, 1)
            node.process.terminate()
            await heard.until("EXTEND_TIMEOUT_USEC=", count=2)
            await heard.until("STATUS=stops: 1 request")
            await deployment.let_go(deployment.engine)
        assert stream.result().is_complete
        assert await node.wait(SLOW_SECONDS) == 0
        assert lines.index("STOPPING=1") < len(lines)


async def test_a_node_that_stops_begins_nothing_new(deployment, node):
    data = deployment.folder / "node"
    client = client_of(deployment)
    async with asyncio.TaskGroup() as tasks:
        (stream,) = await running_streams(deployment, tasks, 1)
        node.process.terminate()

        async def is_draining():
            return (await status(deployment)).is_draining

        await deployment.until(is_draining)
        settings(data, engine="http://127.0.0.1:9", drain_seconds=0.0)
        node.process.send_signal(signal.SIGHUP)
        with pytest.raises(ConfigError, match="the node stops"):
            await asyncio.to_thread(client.reload)
        await deployment.let_go(deployment.engine)
    assert stream.result().is_complete
    assert await node.wait(SLOW_SECONDS) == 0
    assert "engine changes" not in node.log.read_text().rpartition("node starts")[2]


@pytest.mark.slow
async def test_a_console_that_is_away_keeps_no_node_from_being_ready(deployment):
    with listening(deployment) as heard:
        deployment.env |= {"NOTIFY_SOCKET": heard.name, "BYOI_CONSOLE": "http://127.0.0.1:9"}
        await deployment.run_node("node", wait=False)
        await heard.until("READY=1")
        await heard.until("STATUS=waits for the console: ")


async def test_a_terminal_that_is_closed_ends_the_node_that_ran_in_it(deployment):
    outer, inner = pty.openpty()
    argv = [BYOI, "run", "--data-dir", deployment.folder / "node"]
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), stdin=inner, stdout=inner, stderr=inner, env=deployment.env,
        start_new_session=True, preexec_fn=lambda: take_terminal(0),
    )  # fmt: skip
    os.close(inner)
    await deployment.until(lambda: serves(deployment))
    os.close(outer)
    async with asyncio.timeout(SLOW_SECONDS):
        assert await process.wait() == 0


def take_terminal(descriptor):
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


async def serves(deployment):
    with contextlib.suppress(Exception):  # it has only just been started
        return (await status(deployment)).is_serving
    return False


class Heard:
    """What came over a datagram socket as systemd opens one."""

    def __init__(self, name: str, listener: socket.socket) -> None:
        self.name, self._listener = name, listener
        self.lines: list[str] = []

    async def until(self, start: str, count: int = 1) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SLOW_SECONDS):
            while sum(line.startswith(start) for line in self.lines) < count:
                data = await loop.sock_recv(self._listener, 4096)
                self.lines += data.decode().split("\n")


@contextlib.contextmanager
def listening(deployment):
    name = str(deployment.runtime / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.setblocking(False)
        yield Heard(name, listener)
    Path(name).unlink()

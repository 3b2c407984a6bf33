"""Every process of a real vLLM killed in turn under load: no orphan, no hung client, back in time.

One node serves all tests, in this order, since each start takes half a minute and more.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from byoi_agent.control.client import ControlClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS = 8
TOKENS = 300
START_SECONDS = 600.0
RESTART_SECONDS = 600.0
"""Half a minute on two idle cores; the kind's own limit, for machines that have more to do."""

GONE_SECONDS = 120.0
TOLD_SECONDS = 120.0
"""From the kill until the last client has its answer: one that has no text yet waits for another
node before it is told. Any machine is through by then; whoever hangs, hangs for longer."""

TITLES = {"core": "VLLM::EngineCore", "worker": "VLLM::Worker"}


class Node:
    """The node under test, started again where a test has ended it."""

    def __init__(self, deployment, answer, is_alive) -> None:
        self.deployment = deployment
        self.answer = answer
        self.process = None
        self._is_alive = is_alive
        self._stories = itertools.count(1)

    async def serves(self):
        """Started if it is not; returns once a request would be answered."""
        if self.process is None or self.process.process.returncode is not None:
            await self.start()
        await self.deployment.until(self.is_offered, RESTART_SECONDS)

    async def start(self, *, wait: bool = True) -> None:
        if self.process is None:
            await self.deployment.enrol("vllm")
        flags = ("--engine", "vllm", "--slots", str(STREAMS))
        self.process = await self.deployment.run_node(
            "vllm", *flags, wait=wait, seconds=START_SECONDS
        )

    async def is_offered(self):
        engine = (await asyncio.to_thread(self.client.status)).engine
        (node,) = await self.deployment.nodes()
        return engine.state == "ready" and node["models"]

    @property
    def client(self) -> ControlClient:
        return ControlClient(socket_path=self.process.ready["control_socket"])

    def tree(self) -> dict[int, str]:
        """All processes below the agent, by their title."""
        titles = {}
        for process in self.process.children():
            try:
                titles[process.pid] = " ".join(process.cmdline()).strip()
            except psutil.NoSuchProcess:
                continue
        return titles

    async def victim(self, name: str) -> int:
        if name == "api":
            return (await asyncio.to_thread(self.client.status)).engine.pid
        return next(pid for pid, title in self.tree().items() if title.startswith(TITLES[name]))

    async def under_load(self) -> list[asyncio.Task]:
        """So many streams, all with the engine, of prompts that no death has seen before.

        The console sends a request that was there at two deaths nowhere for a while.
        """
        seen = [self.answer() for _ in range(STREAMS)]
        asked = [self.story(into=answer) for answer in seen]

        async def most_have_text():
            return sum(answer.has_text for answer in seen) > STREAMS // 2

        await self.deployment.until(most_have_text, TOLD_SECONDS)
        return asked

    def story(self, **fields) -> asyncio.Task:
        """One that goes on until all its tokens are there."""
        told = f"Tell story {next(self._stories)}."
        return asyncio.create_task(
            self.deployment.chat(told, max_tokens=TOKENS, ignore_eos=True, **fields)
        )

    async def all_gone(self, pids) -> None:
        async def gone():
            return not any(self._is_alive(pid) for pid in pids)

        await self.deployment.until(gone, GONE_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(helper, tmp_path_factory, installed):
    loaded, folder = helper("deployment"), tmp_path_factory.mktemp("vllm")
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        async with loaded.Deployment(folder, Path(runtime)) as deployment:
            await deployment.start_console()
            yield Node(deployment, loaded.Answer, loaded.is_alive)


async def ended_well(asked, codes, seconds=TOLD_SECONDS) -> list:
    """Each is whole, or one error in OpenAI's form; none hangs, and no word of the engine's."""
    async with asyncio.timeout(seconds):
        answers = await asyncio.gather(*asked)
    for answer in answers:
        assert answer.broken is None
        assert b"EngineCore" not in answer.body
        assert b"Traceback" not in answer.body
        if answer.is_complete:
            continue
        if answer.status == 200:
            (error,) = answer.errors
            assert answer.data[-1] != "[DONE]"
        else:
            error = answer.json["error"]
        assert error["code"] in codes, error
        assert error["message"]
    return answers


@pytest.mark.parametrize("name", ["api", "core", "worker"])
async def test_a_killed_process_leaves_no_orphan_and_no_hung_client_and_is_replaced(node, name):
    await node.serves()
    before = node.tree()
    assert any(title.startswith(TITLES["core"]) for title in before.values())
    asked = await node.under_load()
    psutil.Process(await node.victim(name)).kill()
    killed_at = time.monotonic()
    answers = await ended_well(asked, {"engine_error", "no_node_available", "node_unavailable"})
    assert not all(answer.is_complete for answer in answers)
    await node.all_gone(before)
    await node.deployment.until(node.is_offered, RESTART_SECONDS)
    assert time.monotonic() - killed_at < RESTART_SECONDS
    assert not before.keys() & node.tree().keys()
    assert (await node.deployment.chat("Hello", max_tokens=5)).is_complete


async def test_a_killed_agent_takes_its_engine_along(node):
    await node.serves()
    before = node.tree()
    asked = await node.under_load()
    node.process.kill()
    await node.process.wait(GONE_SECONDS)
    await ended_well(asked, {"upstream_lost", "no_node_available", "node_unavailable"})
    await node.all_gone(before)


async def test_a_stream_runs_to_its_end_when_the_node_is_told_to_stop(node):
    await node.serves()
    before = node.tree()
    answer = node.answer()
    running = node.story(into=answer)

    async def begun():
        return answer.has_text

    await node.deployment.until(begun, TOLD_SECONDS)
    node.process.process.send_signal(signal.SIGTERM)
    await running
    assert answer.is_complete
    assert answer.usage is None or answer.usage["completion_tokens"] == TOKENS
    assert await node.process.wait(GONE_SECONDS) == 0
    await node.all_gone(before)


async def test_told_to_stop_while_vllm_starts_nothing_is_left(node):
    await node.start(wait=False)
    starting = node.process

    async def core_starts():
        return any("vllm.entrypoints" in title for title in node.tree().values())

    await node.deployment.until(core_starts, START_SECONDS)
    await asyncio.sleep(5.0)  # in the midst of its imports, where it swallows a SIGTERM
    before = [child.pid for child in starting.children()]
    assert before
    starting.process.send_signal(signal.SIGTERM)
    assert await starting.wait(GONE_SECONDS) == 0
    await node.all_gone(before)

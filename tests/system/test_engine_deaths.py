"""Every way in which vLLM was seen to die or hang, by a stand-in that does the same."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from byoi_agent.engine import watch
from byoi_agent.engine.kinds import probes
from byoi_agent.serving import answer
from byoi_wire.usage import Usage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is /proc")
BOUND_SECONDS = 30.0
"""Within which any machine has done what it is waited for, and no other bound has struck."""


@pytest.fixture
def life(helper):
    return helper("engine_node")


@pytest.fixture
def folder(tmp_path_factory):
    """Short, as a socket's path must be."""
    return tmp_path_factory.mktemp("e")


async def within(seconds, waited):
    async with asyncio.timeout(seconds):
        return await waited


def handles(pid, number):
    """Whether a process has a handler of its own for a signal, by what the kernel says."""
    (mask,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)


async def test_a_killed_api_process_takes_its_workers_along_and_comes_back(life, folder):
    async with life.node_with(folder, "--workers") as node:
        await node.becomes("ready")
        pids = (await node.stats())["pids"]
        assert len(pids) == 3
        (stream,) = await node.flowing()
        os.kill(pids[0], signal.SIGKILL)
        assert await within(BOUND_SECONDS, stream.over) == "ENGINE_ERROR"
        await node.becomes("backing_off", "starting")
        assert node.offered == 0
        await life.all_gone(pids)
        await node.becomes("ready")
        assert await within(BOUND_SECONDS, node.ask(tokens=3).over) == "end"
        assert node.engine.view.restarts == 1
        pids = (await node.stats())["pids"]
    await life.all_gone(pids)


async def test_a_dead_cores_done_is_no_success_and_none_of_its_words_leak(life, folder):
    async with life.node_with(folder, "--core-seconds", "600") as node:
        await node.becomes("ready")
        await node.hold(20)
        others = await node.flowing(2)
        struck = node.ask("[[fault=core_dies after=3 tokens_per_second=50]]")
        for stream in (struck, *others):
            assert await within(BOUND_SECONDS, stream.over) == "ENGINE_ERROR"
            assert b"[DONE]" not in stream.body
            assert b"EngineCore" not in stream.body
            assert stream.reason == "the engine failed"
        # That is noticed by what it said: of itself the process would only end in ten minutes.
        await node.becomes("suspect", "backing_off", "starting")
        assert node.offered == 0
        assert len(struck.words) == 3
        assert {record.outcome for record in node.records.all} == {"failed"}
        assert {record.error_code for record in node.records.all} == {"engine_error"}
        assert all(record.usage.completion_tokens >= 1 for record in node.records.all)
        await node.becomes("ready")
        assert await within(BOUND_SECONDS, node.ask(tokens=3).over) == "end"


async def test_nothing_new_reaches_an_engine_that_is_to_leave_while_a_stream_runs_to_its_end(
    life, folder
):
    async with life.node_with(folder, "--on-term", "lame") as node:
        await node.becomes("ready")
        await node.hold(30)
        stream = node.ask(tokens=60)
        await stream.some.wait()
        asked = (await node.stats())["running"]
        node.engine.stop()
        await node.becomes("draining")
        assert node.offered == 0
        late = node.ask()
        assert await within(BOUND_SECONDS, late.over) == "REFUSED"
        assert (await node.stats())["orders"] == []  # not asked to leave while somebody is served
        assert (await node.stats())["running"] == asked
        await node.let_go()
        assert await within(BOUND_SECONDS, stream.over) == "end"
        assert len(stream.words) == 60
        await node.becomes("stopped")


async def test_an_engine_that_somebody_else_asked_to_leave_fails_new_requests_before_their_head(
    life, folder
):
    async with life.node_with(folder, "--on-term", "lame") as node:
        await node.becomes("ready")
        await node.hold(20)
        (stream,) = await node.flowing()
        os.kill(node.engine.view.pid, signal.SIGTERM)
        async with asyncio.timeout(BOUND_SECONDS):
            while (await node.stats())["orders"] != ["term"]:
                await asyncio.sleep(0.01)
        late = node.ask()
        assert await within(BOUND_SECONDS, late.over) == "ENGINE_ERROR"
        assert late.status is None  # so that the console may try another node
        assert node.records.all[0].usage == Usage()
        await node.let_go()
        assert await within(BOUND_SECONDS, stream.over) in {"end", "ENGINE_ERROR"}
        await node.becomes("backing_off", "starting")
        await node.becomes("ready")


@pytest.mark.parametrize("order", ["stop", "sleep"])
async def test_an_engine_that_swallows_sigterm_while_it_starts_is_ended_within_a_bound(
    life, folder, order
):
    flags = ("--on-term", "swallow", "--start-seconds", "600")
    async with life.node_with(folder, *flags) as node:
        await node.becomes("starting")
        async with asyncio.timeout(BOUND_SECONDS):
            await node.board.wait_until(lambda view: view.engine.pid)
        pid = node.engine.view.pid
        async with asyncio.timeout(BOUND_SECONDS):
            while not handles(pid, signal.SIGTERM):
                await asyncio.sleep(0.01)
        getattr(node.engine, order)()
        await node.becomes("stopped", "asleep", seconds=life.STOP_SECONDS + BOUND_SECONDS)
        await life.all_gone([pid])


async def test_a_stream_that_its_engine_neither_ends_nor_closes_is_ended_by_our_own_bound(
    life, folder
):
    async with life.node_with(folder, "--on-term", "freeze") as node:
        await node.becomes("ready")
        (stream,) = await node.flowing()
        pid = node.engine.view.pid
        node.engine.stop(within_seconds=0.2)
        assert await within(BOUND_SECONDS, stream.over) == "ENGINE_ERROR"
        await node.becomes("stopped", seconds=life.STOP_SECONDS + BOUND_SECONDS)
        await life.all_gone([pid])


@pytest.mark.slow
async def test_a_stream_that_hangs_ends_in_time_and_the_engine_is_started_again(
    life, folder, monkeypatch
):
    async with life.node_with(folder, "--on-term", "freeze") as node:
        await node.becomes("ready")
        (stream,) = await node.flowing()
        frozen = node.engine.view.pid
        os.kill(frozen, signal.SIGTERM)
        async with asyncio.timeout(BOUND_SECONDS):
            while (await node.stats())["orders"] != ["term"]:
                await asyncio.sleep(0.01)
        # Not before: one given up earlier proves nothing. Nor after: the next has all its time.
        with monkeypatch.context() as impatient:
            impatient.setattr(answer, "NEXT_BYTE_SECONDS", 1.5)
            impatient.setattr(probes, "TOKEN_SECONDS", 1.0)
            impatient.setattr(probes.one_token, "__defaults__", (1.0,))
            async with asyncio.timeout(BOUND_SECONDS):
                await node.board.wait_until(lambda view: view.engine.pid != frozen)
        assert await within(BOUND_SECONDS, stream.over) == "TIMED_OUT"
        async with asyncio.timeout(BOUND_SECONDS):
            await node.board.wait_until(
                lambda view: view.engine.state == "ready" and view.engine.pid != frozen
            )
        assert await within(BOUND_SECONDS, node.ask(tokens=3).over) == "end"


async def test_no_request_reaches_an_engine_that_sleeps(life, folder):
    async with life.node_with(folder, can_sleep=True) as node:
        await node.becomes("ready")
        pid = node.engine.view.pid
        await node.hold(15)
        stream = node.ask(tokens=30)
        await stream.some.wait()
        node.engine.sleep()
        await node.becomes("draining")
        assert await within(BOUND_SECONDS, node.ask().over) == "REFUSED"
        await node.let_go()
        assert await within(BOUND_SECONDS, stream.over) == "end"
        await node.becomes("asleep")
        assert (node.offered, node.engine.view.pid) == (0, pid)
        for _ in range(4):
            assert await within(BOUND_SECONDS, node.ask().over) == "REFUSED"
        stats = await node.stats()
        assert (stats["running"], stats["orders"]) == (0, ["sleep"])
        node.engine.start()
        await node.becomes("ready")
        assert await within(BOUND_SECONDS, node.ask(tokens=3).over) == "end"
        assert node.engine.view.pid == pid


async def test_an_engine_that_listens_to_the_network_is_ended_and_told(life, folder):
    async with life.node_with(folder, "--also-listen", "0.0.0.0") as node:
        await node.becomes("failed")
        assert "0.0.0.0:" in node.engine.view.reason
        assert ("ready", 1) not in node.offers
        assert node.engine.view.pid is None


async def test_its_numbers_are_on_the_view(life, folder):
    async with life.node_with(folder) as node:
        async with asyncio.timeout(BOUND_SECONDS * 3):
            view = await node.board.wait_until(lambda view: view.engine.load is not None)
        assert view.engine.load.kv_used == 0.25


@pytest.mark.slow
async def test_streams_outlast_an_engine_that_stands_still_for_longer_than_a_look(life, folder):
    async with life.node_with(folder) as node:
        await node.becomes("ready")
        streams = await node.flowing(4, "Hello [[tokens_per_second=100]]")
        os.kill(node.engine.view.pid, signal.SIGSTOP)
        await asyncio.sleep(watch.WATCH_SECONDS + 1.0)
        os.kill(node.engine.view.pid, signal.SIGCONT)
        for stream in streams:
            assert await within(BOUND_SECONDS, stream.over) == "end"
            assert len(stream.words) == 200
        assert node.engine.view.restarts == 0


async def test_answers_in_a_broken_form_are_judged_by_what_they_hold(life, folder):
    broken = ("no_done", "no_finish", "truncated", "reset", "short", "gzip", "not_json")
    whole = ("two_usages", "no_usage", "usage_each", "torn", "crlf", "comments")
    async with life.node_with(folder) as node:
        await node.becomes("ready")
        for fault in (*broken, *whole):
            stream = node.ask(f"[[fault={fault}]]", tokens=5)
            is_whole = await within(BOUND_SECONDS, stream.over) == "end"
            assert is_whole is (fault in whole), fault
            assert (b"[DONE]" in stream.body) is is_whole, fault
            record = node.records.all[-1]
            if is_whole:
                assert (record.outcome, record.usage.completion_tokens) == ("complete", 5), fault
            else:
                assert (record.outcome, record.error_code) == ("failed", "engine_error"), fault
        assert node.engine.view.restarts == 0

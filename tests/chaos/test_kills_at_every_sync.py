"""Processes killed at the first, second, third … time that they make something durable."""

from __future__ import annotations

import shutil

import pytest

KILLS_FROM_THE_START = 2
KILLS_WHILE_SERVING = 4
CONSOLE_KILLS = 4
KILLED_SECONDS = 120.0
STRACE = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        shutil.which("strace") is None, reason="needs strace, which kills at the n-th system call"
    ),
]


def doom(helper, deployment, process, number):
    """The same program, killed as it enters its `number`-th fdatasync.

    strace counts for each thread; each of the databases is written by one.
    """
    return helper("deployment").Process(
        process.name,
        deployment.folder,
        *STRACE,
        "-D",
        *_kill(number),
        *process.argv,
        env=process.env,
    )


async def doom_running(helper, deployment, process, number):
    """The `number`-th fdatasync from now on kills it."""
    strace = helper("deployment").Process(
        "strace",
        deployment.folder,
        *STRACE,
        *_kill(number),
        "-p",
        str(process.pid),
        env=process.env,
    )
    deployment.processes.append(strace)
    await strace.start()


def _kill(number):
    return "-e", f"inject=fdatasync:signal=KILL:when={number}"


async def serves(deployment, clients):
    """Ten whole answers from now on."""
    before = len(clients.complete)

    async def ten():
        return len(clients.complete) >= before + 10

    await deployment.until(ten)


async def is_idle(deployment, engine):
    async def nothing_runs():
        return (await deployment.engine_stats(engine))["running"] == 0

    await deployment.until(nothing_runs)


async def test_a_node_killed_at_each_of_its_syncs_books_every_answer_once(
    deployment, helper, traffic, books
):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    flags = ("--engine", engine.ready["url"])
    node = await deployment.start_node("node", *flags)
    await deployment.model()
    await node.stop()
    for part in (deployment.folder / "node").glob("outbox*"):
        part.unlink()  # its first syncs make the file
    async with traffic() as clients:
        for number in range(1, KILLS_FROM_THE_START + 1):
            doomed = doom(helper, deployment, node, number)
            deployment.processes.append(doomed)
            await doomed.start()
            assert await doomed.wait(KILLED_SECONDS) == -9
        for number in range(1, KILLS_WHILE_SERVING + 1):
            doomed = await deployment.run_node("node", *flags)
            await doom_running(helper, deployment, doomed, number)
            assert await doomed.wait(KILLED_SECONDS) == -9
        await deployment.run_node("node", *flags)
        await serves(deployment, clients)
    assert {asked.verdict for asked in clients.asked} <= {"complete", "error"}
    await books.check(clients.asked)
    await is_idle(deployment, engine)


async def test_a_console_killed_at_each_of_its_syncs_books_every_answer_once(
    deployment, helper, traffic, books
):
    console = await deployment.start_console()
    engine = await deployment.start_fake_engine()
    flags = ("--engine", engine.ready["url"])
    node = await deployment.start_node("node", *flags)
    await deployment.model()
    console.argv[console.argv.index("--port") + 1] = str(deployment.console_port)
    await console.stop()
    async with traffic(pause_seconds=0.1) as clients:
        for number in range(1, CONSOLE_KILLS + 1):
            doomed = await deployment.start_console()
            await doom_running(helper, deployment, doomed, number)
            await node.stop()  # a new process dials at once, this one after a wait that grows
            node = await deployment.run_node("node", *flags, wait=False)
            assert await doomed.wait(KILLED_SECONDS) == -9
        await deployment.start_console()
        await serves(deployment, clients)
    assert {asked.verdict for asked in clients.asked} <= {"complete", "error", "broken"}
    rows = await books.check(clients.asked, lost_with=[(0.0, float("inf"))])
    assert all(row["claimed"] for row in rows)
    await is_idle(deployment, engine)

"""Disks that are full: what runs ends well, nothing new is taken, and room brings it all back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess

import pytest

DISK = "3m"
GONE_SECONDS = 90.0

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="needs root, to mount a disk that is small enough to be filled",
)


@pytest.fixture
def disk(deployment):
    """Make a folder of the deployment a small disk of its own."""
    with contextlib.ExitStack() as mounted:

        def mount(name):
            place = deployment.folder / name
            place.mkdir(mode=0o700)
            tmpfs = ("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "none", str(place))
            made = subprocess.run(tmpfs, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"needs a machine where a disk can be mounted: {made.stderr}")
            lazily = ("umount", "-l", str(place))
            mounted.callback(subprocess.run, lazily, check=True)
            return place

        yield mount


def fill(place):
    """Every last block; returns what to delete for room."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


async def until_refused(deployment, traffic):
    """Ask until a request is refused for want of room; what was served before is kept."""
    async with asyncio.timeout(GONE_SECONDS):
        while True:
            asked = await traffic.ask("is there room")
            assert asked.verdict in {"complete", "error"}, asked
            if asked.verdict == "error":
                assert asked.answer.status == 503, asked
                assert int(asked.answer.headers["retry-after"]) > 0
                return


async def until_served(traffic):
    async with asyncio.timeout(GONE_SECONDS):
        while not (await traffic.ask("is there room again")).is_complete:
            await asyncio.sleep(0.2)


async def warnings_of(deployment, name):
    told = await deployment.program(
        "byoi", "status", "--json", "--data-dir", deployment.folder / name
    )
    return {warning["name"] for warning in json.loads(told)["warnings"]}


async def test_a_node_whose_disk_is_full_ends_what_runs_and_takes_nothing_new(
    deployment, disk, traffic, books
):
    place = disk("node")
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 75)
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    clients = traffic(tokens=(2, 4))
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=150)) for n in range(4)]

    async def under_way():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(under_way)
    filler = fill(place)
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    await until_refused(deployment, clients)
    assert "usage_storage" in await warnings_of(deployment, "node")
    filler.unlink()
    await until_served(clients)
    assert "usage_storage" not in await warnings_of(deployment, "node")
    rows = await books.check(clients.asked)
    assert len(rows) == len(answers) + len(clients.complete)
    assert all(row["claimed"] for row in rows)
    assert node.process.returncode is None


async def test_a_node_that_is_started_on_a_full_disk_says_so_and_starts_once_there_is_room(
    deployment, disk
):
    place = disk("node")
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.enrol("node")
    filler = fill(place)
    node = await deployment.run_node("node", "--engine", engine.ready["url"], wait=False)

    async def is_told():
        with contextlib.suppress(AssertionError):  # the command fails as long as it cannot ask
            return "state-not-written" in await warnings_of(deployment, "node")

    await deployment.until(is_told, GONE_SECONDS)
    filler.unlink()

    async def serves():
        answer = await deployment.chat("is there room", model="stand-in")
        return answer.is_complete

    await deployment.until(serves, GONE_SECONDS)
    assert "state-not-written" not in await warnings_of(deployment, "node")
    assert "Traceback" not in node.log.read_text()


async def test_a_console_whose_disk_is_full_takes_no_new_work_and_books_what_ran(
    deployment, disk, traffic, books
):
    place = disk("console")
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 75)
    await deployment.start_node("node", "--engine", engine.ready["url"])
    clients = traffic(tokens=(2, 4))
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=150)) for n in range(4)]

    async def under_way():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(under_way)
    filler = fill(place)
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    await until_refused(deployment, clients)
    async with deployment.http.get(deployment.url + "/readyz") as ready:
        assert ready.status == 503
    filler.unlink()
    await until_served(clients)
    rows = await books.check(clients.asked)
    served = len(answers) + len(clients.complete)
    assert sum(row["outcome"] == "complete" for row in rows) == served

    async def all_claimed():
        return all(row["claimed"] for row in await books.rows())

    await deployment.until(all_claimed)

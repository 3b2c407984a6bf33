from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from byoi_agent.demo import child as module
from byoi_agent.demo.child import Child, ChildFailed, finish, program
from byoi_agent.engine.guard import stat_of
from byoi_agent.errors import ConfigError

# Whole or not there, as the parts themselves write it.
READY = """
import os, pathlib, sys
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text('{"url": "here"}')
os.replace(part, sys.argv[1])
"""
UNTIL_ALONE = READY + "sys.stdin.read()"


@pytest.fixture
def child(tmp_path):
    def make(code):
        ready = tmp_path / "ready.json"
        return Child(
            "the part",
            (sys.executable, "-c", code),
            until_killed=(str(ready),),
            ready_file=ready,
            log_file=tmp_path / "log",
        )

    return make


@pytest.fixture
async def running(child):
    """Starts a child; whatever becomes of the test, it is gone at its end."""
    tasks = []

    def start(code):
        made = child(code)
        tasks.append(asyncio.ensure_future(made.run()))
        return made

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_what_it_writes_when_ready_is_passed_on(running):
    part = running(UNTIL_ALONE)
    assert await part.until_ready() == {"url": "here"}
    assert part.code is None


async def test_an_earlier_starts_ready_file_counts_for_nothing(running, tmp_path):
    (tmp_path / "ready.json").write_text('{"url": "stale"}')
    part = running(UNTIL_ALONE)
    assert await part.until_ready() == {"url": "here"}


async def test_one_that_ends_first_is_told_with_its_last_words_and_without_secrets(running):
    part = running("import sys; print('Bearer sk-byoi-abcdef123456'); sys.exit('disk is full')")
    with pytest.raises(ChildFailed, match=r"the part ended with code 1 while starting; it said"):
        await part.until_ready()
    assert "disk is full" in str(part.failure("x"))
    assert "abcdef123456" not in str(part.failure("x"))


async def test_one_that_is_killed_is_told_by_the_signals_name(running):
    part = running(UNTIL_ALONE)
    await part.until_ready()
    os.kill(part.pid, signal.SIGKILL)
    await part.ended.wait()
    assert "was ended by SIGKILL" in str(part.failure("while serving"))
    assert "without a word" in str(part.failure("while serving"))


async def test_it_ends_when_asked_and_in_no_other_processs_session(running):
    part = running(UNTIL_ALONE)
    await part.until_ready()
    assert os.getsid(part.pid) == part.pid
    part.terminate()
    await part.ended.wait()
    assert part.code == -signal.SIGTERM


async def test_one_that_is_not_wanted_any_more_before_it_began_does_not_stay(child):
    part = child(UNTIL_ALONE)
    part.terminate()
    async with asyncio.timeout(60):
        await part.run()
    assert part.ended.is_set()


async def test_our_own_settings_do_not_reach_it(running, tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_DATA_DIR", "/the/owners/node")
    monkeypatch.setenv("BYOI_CACHE_DIR", "/cache")
    part = running(
        "import json, os, pathlib, sys\n"
        "told = {name: os.environ.get(name) for name in ('BYOI_DATA_DIR', 'BYOI_CACHE_DIR')}\n"
        "part = pathlib.Path(sys.argv[1] + '.part')\n"
        "part.write_text(json.dumps(told))\n"
        "os.replace(part, sys.argv[1])\n"
        "sys.stdin.read()"
    )
    assert await part.until_ready() == {"BYOI_DATA_DIR": None, "BYOI_CACHE_DIR": "/cache"}


def test_a_killed_demo_leaves_no_child(tmp_path):
    pid_file = tmp_path / "pid"
    demo = (
        "import asyncio, os, pathlib, sys\n"
        "from byoi_agent.demo.child import Child\n"
        f"code = {(READY + 'sys.stdin.read()')!r}\n"
        "ready = pathlib.Path(sys.argv[1])\n"
        "async def main():\n"
        "    part = Child('x', (sys.executable, '-c', code), until_killed=(str(ready),),\n"
        "                 ready_file=ready, log_file=ready.with_name('log'))\n"
        "    async with asyncio.TaskGroup() as tasks:\n"
        "        tasks.create_task(part.run())\n"
        "        await part.until_ready()\n"
        "        pathlib.Path(sys.argv[2]).write_text(str(part.pid))\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", demo, tmp_path / "ready.json", pid_file], check=False, timeout=240
    )
    assert killed.returncode == -9
    part = int(pid_file.read_text())
    for _ in range(3000):
        if (stat_of(part) or "Z")[0] in "ZX":
            return
        signal.sigtimedwait([], 0.02)
    pytest.fail("the part outlived the demo")


async def test_a_short_program_gives_its_output_or_its_reason():
    assert await finish("x", (sys.executable, "-c", "print('out')"), {}) == "out\n"
    with pytest.raises(ChildFailed, match=r"x ended with code 3: no token=\[redacted\]"):
        await finish(
            "x",
            (
                sys.executable,
                "-c",
                "import sys; print('no token=abc', file=sys.stderr); sys.exit(3)",
            ),
            {},
        )


async def test_a_short_program_is_ended_with_whoever_waits(tmp_path):
    code = (
        "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('x'); time.sleep(99)"
    )
    task = asyncio.ensure_future(finish("x", (sys.executable, "-c", code, str(tmp_path / "f")), {}))
    while not (tmp_path / "f").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_program_is_found_beside_the_interpreter_then_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for folder in ("bin", "venv"):
        file = tmp_path / folder / "byoi-console"
        file.parent.mkdir()
        file.touch(mode=0o700)
        assert program("byoi-console") == str(file)


def test_a_program_that_is_missing_is_told_with_its_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"byoi-agent\[demo\]"):
        program("byoi-console")

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from byoi_agent.engine import guard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is /proc")

# Stands for the agent: starts the guard as the agent does, says who is who, and waits.
AGENT = """
import json, subprocess, sys, time
code = "import os, time\\nif os.fork() == 0: os.setsid()\\nos.write(1, b'%d\\\\n' % os.getpid())\\n"
code += "time.sleep(600)"
guard = subprocess.Popen(
    [sys.executable, "-I", "-S", sys.argv[1], "0.2", sys.executable, "-S", "-c", code],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
)
engine = json.loads(guard.stdout.readline())["started"]
pids = [int(guard.stderr.readline()) for _ in range(2)]
assert engine in pids
print(json.dumps([guard.pid, *pids]), flush=True)
time.sleep(600)
"""


def is_gone(pid):
    stat = guard.stat_of(pid)
    return stat is None or stat[0] in "ZX"


async def all_gone(pids):
    async with asyncio.timeout(60):
        while not all(is_gone(pid) for pid in pids):
            await asyncio.sleep(0.01)


@pytest.fixture
async def agent():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, guard.__file__, stdout=asyncio.subprocess.PIPE
    )
    pids = json.loads(await process.stdout.readline())
    yield process, pids
    if process.returncode is None:
        process.kill()
    await process.wait()
    await all_gone(pids)


async def test_a_killed_agent_takes_the_engine_and_its_runaways_along(agent):
    process, pids = agent
    process.kill()
    await all_gone(pids)


async def test_a_killed_guard_takes_the_engine_along_though_nobody_is_left_to_clear():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", guard.__file__, "3", "/bin/sleep", "600"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    engine = json.loads(await process.stdout.readline())["started"]
    try:
        process.kill()
        await process.wait()
        await all_gone([engine])
    finally:
        if not is_gone(engine):
            os.kill(engine, signal.SIGKILL)


SHARING = """
import os, signal, time
from multiprocessing import shared_memory
signal.signal(signal.SIGTERM, signal.SIG_IGN)
held = shared_memory.SharedMemory(create=True, size=4096)
os.write(2, f"{held.name}\\n".encode())
if os.fork() == 0:
    time.sleep(600)  # a worker that has it open as well
time.sleep(600)
"""
IMPATIENT = f"TRACKER_SECONDS = {guard.TRACKER_SECONDS}"


@pytest.mark.parametrize("order", [b"kill\n", b"terminate 0.1\n"])
async def test_a_killed_engine_leaves_no_shared_memory_behind(order, tmp_path):
    patient, source = tmp_path / "guard.py", Path(guard.__file__).read_text()
    assert IMPATIENT in source
    patient.write_text(source.replace(IMPATIENT, "TRACKER_SECONDS = 60"))  # a slow machine's
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", patient, "3", sys.executable, "-I", "-c", SHARING),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    left = Path("/dev/shm") / (await process.stderr.readline()).decode().strip()
    assert left.is_file()
    process.stdin.write(order)
    await process.communicate()
    assert not left.exists()


async def test_an_interrupt_from_the_terminal_does_not_reach_the_engine(agent):
    process, pids = agent
    sessions = {guard.stat_of(pid)[2] for pid in pids}
    assert os.getsid(process.pid) not in sessions
    os.kill(pids[0], signal.SIGINT)
    os.kill(pids[0], signal.SIGTERM)
    assert not any(is_gone(pid) for pid in pids)


async def test_an_order_may_come_in_pieces_and_the_last_report_is_the_exit_code():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", guard.__file__, "3", "/bin/sleep", "600"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    started = json.loads(await process.stdout.readline())
    assert guard.stat_of(started["started"])[3] == started["ticks"]
    process.stdin.write(b"nonsense\nterm")
    await process.stdin.drain()
    process.stdin.write(b"inate 600\n")
    assert json.loads(await process.stdout.readline()) == {"exited": -signal.SIGTERM}
    assert await process.wait() == 0


async def test_the_engine_gets_signals_as_any_program_does():
    code = "import signal; print([signal.getsignal(n) for n in (2, 15, 1, 13)], flush=True)"
    script = f"import sys; sys.stdout = sys.stderr\n{code}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", guard.__file__, "3", sys.executable, "-S", "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert b"SIG_DFL" in said
    assert b"SIG_IGN: 1>, <Handlers.SIG_DFL" not in said


def test_a_process_whose_name_is_odd_is_read_right(tmp_path):
    stat = guard.stat_of(os.getpid())
    assert stat is not None
    assert stat[1] == os.getppid()
    assert stat[2] == os.getsid(0)
    assert guard.stat_of(2**22 + 1) is None
    assert Path(guard.__file__).read_text().count("import byoi") == 0

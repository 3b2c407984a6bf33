from __future__ import annotations

import asyncio
import os
import sys

import pytest

from byoi_agent.engine.footprint import device_bytes, growth_bytes, host_peak_bytes, tree_of
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading

MIB = 1 << 20
CHILD = """
import os, subprocess, sys
held = bytearray(os.urandom(1 << 20)) * 64
if len(sys.argv) > 1:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    below = subprocess.Popen([sys.executable, "-c", sys.argv[1]], **pipes)
del held
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def proc(tmp_path):
    """Processes by number, as /proc would show them in KiB."""

    def make(pid, *, rss, peak, pss=None):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(
            f"Name:\tx\nVmPeak:\t9 kB\nVmHWM:\t{peak} kB\nVmRSS:\t{rss} kB\n"
        )
        if pss is not None:
            (folder / "smaps_rollup").write_text(
                f"Rss: {rss} kB\nPss:   {pss} kB\nPss_Anon: 1 kB\n"
            )
        return tmp_path

    return make


def test_what_processes_share_counts_once_and_what_they_once_had_is_added(proc):
    proc(1, rss=1000, peak=1000, pss=600)
    root = proc(2, rss=1000, peak=1500, pss=600)
    assert host_peak_bytes([1, 2], root) == (600 + 600 + 500) * 1024


def test_without_a_rollup_all_that_is_resident_counts(proc):
    assert host_peak_bytes([1], proc(1, rss=1000, peak=1200)) == 1200 * 1024


def test_what_has_ended_is_left_out_and_nothing_at_all_is_unknown(proc):
    root = proc(1, rss=1000, peak=1000, pss=1000)
    (root / "3").mkdir()
    (root / "3" / "status").write_text("Name:\tzombie\n")
    assert host_peak_bytes([1, 2, 3], root) == 1000 * 1024
    assert host_peak_bytes([2, 3], root) is None


def test_memory_on_accelerators_is_that_of_the_engine_s_own_processes():
    devices = (
        DeviceReading(
            0,
            "nvidia",
            "GPU",
            processes=(
                DeviceProcess(10, "compute", memory_used_bytes=5 * MIB),
                DeviceProcess(11, "compute", memory_used_bytes=None),
                DeviceProcess(99, "graphics", memory_used_bytes=7 * MIB),
            ),
        ),
        DeviceReading(
            1, "nvidia", "GPU", processes=(DeviceProcess(11, "compute", memory_used_bytes=MIB),)
        ),
        DeviceReading(2, "nvidia", "GPU"),
    )
    assert device_bytes(devices, [10, 11]) == 6 * MIB
    assert device_bytes(devices, [12]) is None


def test_what_devices_gained_is_counted_for_each_that_tells():
    def card(index, used):
        return DeviceReading(index, "nvidia", "GPU", memory_used_bytes=used)

    before = [card(0, 5), card(1, 7), card(2, None)]
    assert growth_bytes(before, [card(0, 9), card(1, 6), card(2, 3), card(3, 8)]) == 4
    assert growth_bytes([], [card(0, 9)]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: /proc")
async def test_a_real_family_is_seen_with_its_peak():
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, "import sys; sys.stdin.read()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await parent.stdout.readline()
        tree = tree_of(parent.pid)
        assert len(tree) == 2
        assert tree[0] == parent.pid
        assert host_peak_bytes(tree) > 64 * MIB  # though it was given back
    finally:
        await parent.communicate(b"")  # to the end of its output, so that nothing is left open
    assert tree_of(parent.pid) == ()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux: /proc")
def test_of_oneself_there_is_something_and_of_nobody_nothing():
    assert host_peak_bytes(tree_of(os.getpid())) > MIB
    assert tree_of(2**22 + 1) == ()

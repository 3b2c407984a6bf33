from __future__ import annotations

import sys
from pathlib import Path

import pytest

from byoi_agent.hardware.devices import Holder
from byoi_agent.hardware.foreign import GpuUsesLook, counts_processes_alike
from byoi_agent.hardware.nvml import NvmlProbe

GIB = 1024**3


@pytest.fixture
def look(tree):
    return GpuUsesLook(root=tree.root)


def test_who_computes_who_draws_and_what_is_used(nvml, in_process, look):
    in_process.shows(nvml.server(2))
    in_process.set(
        {
            "0.compute": f"100:{3 * GIB} 101:{GIB}",
            "0.graphics": f"101:{GIB} 102:7",
            "1.mps": "103:5",
            "1.memory_used": 9 * GIB,
        }
    )
    uses = look()
    assert uses.holders == (
        Holder(0, 100, 3 * GIB),
        Holder(0, 101, GIB, is_graphical=True),
        Holder(0, 102, 7, is_graphical=True),
        Holder(1, 103, 5),
    )
    assert uses.used_bytes == {0: 2 * GIB, 1: 9 * GIB}


def test_memory_that_is_not_told_is_none(nvml, in_process, look):
    in_process.shows(nvml.server(1))
    in_process.set({"0.compute": "100"})
    assert look().holders == (Holder(0, 100, None),)


def test_a_lost_card_hides_no_other(nvml, in_process, look):
    in_process.shows(nvml.server(2))
    in_process.set({"1.compute": "100:5"})
    in_process.lose(0)
    assert look().holders == (Holder(1, 100, 5),)


def test_without_a_driver_nothing_is_held(nvml, in_process, look):
    in_process.shows({})
    assert (look().holders, dict(look().used_bytes)) == ((), {})


async def test_it_leaves_the_library_to_the_probe_as_it_was(nvml, in_process, look):
    in_process.shows(nvml.server(2))
    probe = NvmlProbe()
    assert len((await probe.read()).devices) == 2
    look()
    in_process.lose(1)
    assert len((await probe.read()).lost) == 1  # the probe begins anew, which needs it closed
    in_process.find(1)
    look()
    assert len((await probe.read()).devices) == 2


def test_amds_programs_are_numbered_behind_nvidias(nvml, in_process, look, tree):
    in_process.shows(nvml.server(1))
    tree.write("sys/class/kfd/kfd/proc/200", {"vram_7001": 4096, "vram_9002": 0})
    tree.write("sys/class/kfd/kfd/proc/201", {"vram_9002": 8192})
    assert look().holders == (Holder(1, 200, 4096), Holder(2, 201, 8192))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' namespaces")
def test_in_a_container_the_drivers_count_otherwise(tmp_path):
    other = tmp_path / "pid"
    other.write_text("")
    assert not counts_processes_alike(other)
    assert not counts_processes_alike(tmp_path / "none")
    mine = Path("/proc/self/ns/pid")
    assert counts_processes_alike(mine) is (mine.stat().st_ino == 0xEFFFFFFC)

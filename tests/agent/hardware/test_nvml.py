from __future__ import annotations

import subprocess
import sys
import threading

import pynvml
import pytest

from byoi_agent.hardware import looking
from byoi_agent.hardware.nvml import NvmlProbe

STEPS = """
import sys
from byoi_agent.hardware.nvml import NvmlProbe
probe = NvmlProbe()
for _ in sys.stdin:
    reading = probe.now()
    print(len(reading.devices), reading.devices and reading.devices[0].driver_version,
          len(reading.lost), reading.problem, sep="|", flush=True)
"""


class Libraries:
    """Stands where pynvml is imported; counts, and notes the threads."""

    def __init__(self):
        self.asked = 0
        self.threads = set()

    def __call__(self):
        self.asked += 1
        self.threads.add(threading.current_thread())
        return pynvml


async def test_a_lost_card_hides_no_other_and_comes_back_by_itself(nvml, in_process):
    in_process.shows(nvml.server(8))
    probe = NvmlProbe()
    assert len((await probe.read()).devices) == 8
    in_process.lose(3)
    reading = await probe.read()
    assert [device.index for device in reading.devices] == [0, 1, 2, 4, 5, 6, 7]
    (lost,) = reading.lost
    assert (lost.index, lost.name, lost.problem) == (3, "NVIDIA H100 80GB HBM3", "GPU is lost")
    assert lost.uuid.startswith("GPU-00000003")
    assert reading.problem == "GPU 3 (00000000:1E:00.0) cannot be read: GPU is lost"
    assert "power cables" in reading.mend
    in_process.find(3)
    back = await probe.read()
    assert (len(back.devices), back.problem, back.lost) == (8, None, ())


async def test_after_a_lost_card_the_library_is_begun_anew(nvml, in_process):
    in_process.shows(nvml.server(2))
    libraries = Libraries()
    probe = NvmlProbe(libraries)
    await probe.read()
    await probe.read()
    assert libraries.asked == 1
    in_process.lose(0)
    await probe.read()
    await probe.read()
    assert libraries.asked == 2
    in_process.find(0)
    await probe.read()
    await probe.read()
    assert libraries.asked == 3


def test_who_asks_once_leaves_the_library_closed_for_who_watches(nvml, in_process):
    in_process.shows(nvml.server(2))
    opened = []

    class Counting:
        def __getattr__(self, name):
            return getattr(pynvml, name)

        def nvmlInit(self):  # noqa: N802
            opened.append(+1)
            pynvml.nvmlInit()

        def nvmlShutdown(self):  # noqa: N802
            opened.append(-1)
            pynvml.nvmlShutdown()

    assert len(NvmlProbe(Counting).once().devices) == 2
    assert opened == [+1, -1]


async def test_a_card_that_the_driver_no_longer_lists_is_lost_until_it_is_back(nvml, in_process):
    four = nvml.server(4)
    in_process.shows(four)
    probe = NvmlProbe()
    await probe.read()
    moved_up = {f"{new}.{what}": four[f"{old}.{what}"] for new, old in ((1, 2), (2, 3))
                for what in ("uuid", "pci")}  # fmt: skip
    in_process.set({"count": 3, **moved_up})
    for _ in range(2):
        reading = await probe.read()
        assert [one.uuid for one in reading.devices] == [four[f"{i}.uuid"] for i in (0, 2, 3)]
        (lost,) = reading.lost
        assert (lost.uuid, lost.memory_total_bytes) == (four["1.uuid"], None)
        told = "GPU 1 (00000000:1C:00.0) cannot be read: gone from the driver's list"
        assert reading.problem == told
        assert "restart byoi" in reading.mend
    in_process.shows(four)
    back = await probe.read()
    assert (len(back.devices), back.problem, back.lost) == (4, None, ())


async def test_cards_that_are_gone_together_are_told_in_one_sentence(nvml, in_process):
    in_process.shows(nvml.server(4))
    probe = NvmlProbe()
    await probe.read()
    in_process.set({"count": 1})
    reading = await probe.read()
    assert [one.index for one in reading.lost] == [1, 2, 3]
    assert reading.problem == (
        "GPUs 1 (00000000:1C:00.0), 2 (00000000:1D:00.0) and 3 (00000000:1E:00.0) cannot be read: "
        "gone from the driver's list"
    )


async def test_a_card_that_is_gone_and_one_that_is_lost_are_told_together(nvml, in_process):
    in_process.shows(nvml.server(3))
    probe = NvmlProbe()
    await probe.read()
    in_process.set({"count": 2}).lose(0)
    reading = await probe.read()
    assert [one.index for one in reading.devices] == [1]
    assert [one.index for one in reading.lost] == [0, 2]
    assert reading.problem.count("cannot be read") == 2
    assert "if it is lost again" in reading.mend
    assert "if you took it out" in reading.mend


async def test_two_lost_cards_are_both_told_with_both_mends(nvml, in_process):
    in_process.shows(nvml.server(4)).lose(0).lose(2, nvml.RESET_REQUIRED)
    reading = await NvmlProbe().read()
    assert [device.index for device in reading.devices] == [1, 3]
    assert [device.index for device in reading.lost] == [0, 2]
    assert reading.problem.count("cannot be read") == 2
    assert "--gpu-reset" in reading.mend
    assert "restart the machine" in reading.mend


async def test_a_card_that_this_user_may_not_open_hides_no_other(nvml, in_process):
    in_process.shows(nvml.server(2), {"1.handle": f"!{nvml.DENIED}"})
    reading = await NvmlProbe().read()
    assert [device.index for device in reading.devices] == [0]
    assert "/dev/nvidia" in reading.mend


async def test_a_forbidden_driver_says_what_to_allow(nvml, in_process):
    in_process.shows(nvml.denied())
    reading = await NvmlProbe().read()
    assert reading.problem == "the NVIDIA driver cannot be read: this user has no permission"
    assert "/dev/nvidia" in reading.mend


async def test_a_machine_without_a_driver_has_no_devices_and_no_problem(in_process):
    in_process.shows({})
    reading = await NvmlProbe().read()
    assert (reading.devices, reading.problem) == ((), None)


def test_a_binding_that_cannot_be_imported_is_no_driver_either():
    def missing():
        raise ImportError

    assert NvmlProbe(missing).now().problem is None


async def test_a_driver_that_is_unloaded_after_it_was_seen_is_a_problem(nvml, in_process):
    in_process.shows(nvml.server(2))
    probe = NvmlProbe()
    await probe.read()
    in_process.shows({"all": "!1"})
    gone = await probe.read()
    assert (gone.devices, len(gone.lost)) == ((), 2)
    in_process.shows({})
    still = await probe.read()
    assert still.problem == "the NVIDIA driver cannot be read: it is not loaded"
    assert "modprobe" in still.mend
    in_process.shows(nvml.server(2))
    assert len((await probe.read()).devices) == 2


def test_a_driver_that_is_updated_under_us_is_read_again_once_it_is_whole(nvml, machine, tmp_path):
    library = nvml.build(tmp_path / "lib")
    machine.shows(nvml.server(2))
    with subprocess.Popen(
        [sys.executable, "-c", STEPS],
        env=machine.environment(library),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:

        def look():
            program.stdin.write("\n")
            program.stdin.flush()
            return program.stdout.readline().strip().split("|")

        assert look() == ["2", nvml.DRIVER, "0", "None"]
        machine.set({"all": "!18", "kernel": "580.10.01"})
        devices, _, lost, problem = look()
        assert (devices, lost) == ("0", "2")
        assert problem.endswith("the driver in the kernel is another than its library")
        machine.set({"all": None})
        assert look()[0] == "0"
        nvml.build(library, driver="580.10.01")
        assert look() == ["2", "580.10.01", "0", "None"]


async def test_every_call_is_made_in_one_thread_that_is_not_ours(nvml, in_process):
    in_process.shows(nvml.server(1)).lose(0)
    libraries = Libraries()
    probe = NvmlProbe(libraries)
    await probe.read()
    await probe.read()
    probe.now()
    assert libraries.asked == 3
    assert len(libraries.threads) == 1
    assert threading.current_thread() not in libraries.threads


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage"])
async def test_a_hung_driver_is_a_problem_and_is_read_again_when_it_answers(
    nvml, in_process, monkeypatch, function
):
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.05)
    in_process.shows(nvml.server(2), {"hang": function})
    libraries = Libraries()
    probe = NvmlProbe(libraries)
    assert "has not answered" in (await probe.read()).problem
    assert "has not answered" in (await probe.read()).problem
    assert libraries.asked == 1
    monkeypatch.setattr(looking, "LOOK_SECONDS", 10.0)
    in_process.change(hang=None)
    probe._looking._pending.result(timeout=60)
    assert len((await probe.read()).devices) == 2

"""`byoi devices` as a program, over nvidia-ml-py and the stand-in for NVIDIA's library."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from byoi_agent.cli import devices as module
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

GIB = 1024**3
BYOI = [str(Path(sys.executable).with_name("byoi")), "devices"]


@pytest.fixture
def listed(machine, nvml_library, tmp_path):
    """Run it for what the machine shows: the list, what was said, the exit code."""

    def run(library=nvml_library, code=0):
        done = subprocess.run(
            [*BYOI, "--json"],
            env={**machine.environment(library), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout), done.stderr

    return run


def test_a_server_with_eight_cards(nvml, machine, listed):
    machine.shows(nvml.server(8, os.getpid()))
    devices, said = listed()
    assert said == ""
    assert [device["index"] for device in devices] == list(range(8))
    assert len({device["uuid"] for device in devices}) == 8
    first = devices[0]
    assert first["memory_total_bytes"] == 80 * GIB
    assert (first["is_mig"], first["mig_instances"], first["fan_percent"]) == (False, None, None)
    assert len(first["nvlinks"]) == 18
    (process,) = first["processes"]
    assert (process["pid"], process["memory_used_bytes"]) == (os.getpid(), 70 * GIB)
    assert process["name"]
    assert set(first) == set(DeviceReading.__dataclass_fields__)


def test_a_laptop_whose_card_tells_little(nvml, machine, listed):
    machine.shows(nvml.laptop())
    ((card,), _) = listed()
    assert card["power_watts"] == 9.87
    assert card["power_limit_watts"] is None
    assert card["uncorrected_ecc_errors"] is None
    assert card["energy_joules"] is None
    assert [name for name, value in card.items() if value == 0] == ["index"]


def test_a_card_that_mig_splits(nvml, machine, listed):
    machine.shows(nvml.split())
    ((card,), _) = listed()
    assert card["is_mig"] is True
    first, second = card["mig_instances"]
    assert first["uuid"].startswith("MIG-")
    assert first["memory_total_bytes"] == 40 * GIB
    assert (first["compute_slices"], second["compute_slices"]) == (3, 1)


def test_a_card_lost_under_load_is_listed_with_its_problem_and_hides_no_other(
    nvml, machine, listed
):
    machine.shows(nvml.server(8, os.getpid())).lose(5)
    devices, said = listed(code=69)
    assert [device["index"] for device in devices] == list(range(8))
    assert devices[5]["problem"] == "GPU is lost"
    assert devices[5]["memory_total_bytes"] is None
    assert [device["problem"] for device in devices if device["index"] != 5] == [None] * 7
    assert said.startswith("byoi: GPU 5 cannot be read: GPU is lost; restart the machine")
    machine.find(5)
    devices, _ = listed()
    assert [device["problem"] for device in devices] == [None] * 8


def test_a_user_without_permission(nvml, machine, listed):
    machine.shows(nvml.denied())
    devices, said = listed(code=69)
    assert devices == []
    assert said.startswith("byoi: the NVIDIA driver cannot be read: this user has no permission")
    assert "/dev/nvidiactl" in said
    assert "Traceback" not in said


def test_an_old_driver_without_some_calls(nvml, machine, listed, tmp_path):
    machine.shows(nvml.server(2, os.getpid()))
    devices, said = listed(nvml.build(tmp_path / "old", is_old=True))
    assert said == ""
    assert [device["energy_joules"] for device in devices] == [None, None]
    assert [device["memory_total_bytes"] for device in devices] == [80 * GIB] * 2


def test_a_driver_that_is_another_than_its_library(nvml, machine, listed):
    machine.shows(nvml.mismatched())
    devices, said = listed(code=69)
    assert devices == []
    assert "was updated while running: restart the machine" in said


@pytest.mark.slow  # it waits as long as a look may take
def test_a_driver_that_hangs_holds_nothing_up_for_longer(nvml, machine, listed):
    machine.shows(nvml.server(2), {"hang": "nvmlDeviceGetPowerUsage"})
    devices, said = listed(code=69)
    assert devices == []
    assert said.startswith("byoi: the NVIDIA driver has not answered for 10 s; restart")


def test_a_machine_without_an_accelerator_lists_its_processor(machine, listed):
    machine.shows({})
    devices, said = listed()
    assert said == ""
    assert [device["kind"] for device in devices if device["kind"] != "amd"] == ["cpu"]
    assert devices[0]["memory_total_bytes"] > 0
    assert devices[0]["utilisation_percent"] is None


def test_watching_for_programs_writes_a_list_on_each_line(nvml, machine, nvml_library, tmp_path):
    machine.shows(nvml.server(2))
    with subprocess.Popen(
        [*BYOI, "--watch", "--json"],
        env={**machine.environment(nvml_library), "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert len(json.loads(program.stdout.readline())) == 2
        machine.lose(1)
        while json.loads(program.stdout.readline())[1]["problem"] is None:
            pass
        assert "GPU 1 " in program.stderr.readline()
        machine.find(1)
        while json.loads(program.stdout.readline())[1]["problem"] is not None:
            pass
        assert program.stderr.readline() == "byoi: all devices answer again\n"
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 130


def test_watching_in_a_terminal_redraws_one_screen(nvml, machine, nvml_library, tmp_path):
    machine.shows(nvml.server(2)).lose(1)
    near, far = pty.openpty()
    with subprocess.Popen(
        [*BYOI, "--watch"],
        env={**machine.environment(nvml_library), "HOME": str(tmp_path), "TERM": "xterm"},
        stdin=far,
        stdout=far,
        stderr=far,
    ) as program:
        os.close(far)
        shown = b""
        while b"power cables" not in shown:
            shown += os.read(near, 65_536)
        machine.find(1)
        while shown.count(b"1980 MHz") < 3:  # one in the first picture, two in the next
            shown += os.read(near, 65_536)
        program.send_signal(signal.SIGINT)
        with suppress(OSError):  # how Linux tells that nobody writes there any more
            while said := os.read(near, 65_536):
                shown += said
        assert program.wait(60) == 130
    os.close(near)
    assert b"\x1b[?1049h" in shown  # a screen of its own, left again at the end
    assert shown.index(b"\x1b[?1049l") < shown.rindex(b"1980 MHz")


class _Probe:
    def __init__(self, reading):
        self.reading = reading

    def now(self):
        return self.reading


def test_people_get_a_table_and_the_problem_beside_it(byoi, monkeypatch):
    card = DeviceReading(index=0, kind="amd", name="W7900", memory_total_bytes=48 * GIB)
    lost = DeviceReading(index=1, kind="amd", name="W7900", problem="No such device")
    reading = ProbeReading((card,), "AMD GPU 1 cannot be read", "restart", (lost,))
    monkeypatch.setattr(module, "machine_probe", lambda: _Probe(reading))
    code, out, err = byoi("devices")
    assert code == 69
    assert "- of 48.0 GiB" in out
    assert "W7900 (No such device)" in out
    assert err == "byoi: AMD GPU 1 cannot be read; restart\n"


def test_the_help_shows_how(byoi):
    code, out, _ = byoi("devices", "--help")
    assert code == 0
    assert "byoi devices --watch" in out
    assert "Exit code 69" in out

from __future__ import annotations

import getpass
import os
import platform
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from byoi_agent.hardware import host
from byoi_agent.hardware.host import read_host


def test_the_host_is_described_without_names_and_paths(tmp_path):
    host = read_host(tmp_path)
    text = host.model_dump_json()
    assert str(tmp_path) not in text
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert f'"{getpass.getuser()}"' not in text
    assert host.architecture == platform.machine()
    assert host.cpu_cores >= 1
    assert 0 < host.memory_available_bytes <= host.memory_total_bytes


def test_the_disk_of_a_folder_that_is_not_made_yet_is_its_parents(tmp_path):
    missing = tmp_path / "a" / "b" / "c"
    assert read_host(missing).disk_free_bytes > 0
    assert not missing.exists()


def test_a_process_has_a_name_until_it_is_gone():
    assert host.process_name(os.getpid())
    assert host.process_name(2**22 + 1) is None


def test_battery_and_network_are_told_where_there_are_any(monkeypatch):
    up = SimpleNamespace(isup=True, speed=2500)
    down = SimpleNamespace(isup=False, speed=10_000)
    monkeypatch.setattr(host.psutil, "net_if_stats", lambda: {"eth0": up, "eth1": down})
    battery = SimpleNamespace(percent=71.5, power_plugged=False)
    monkeypatch.setattr(host.psutil, "sensors_battery", lambda: battery)
    assert host.read_surroundings() == host.Surroundings(71.5, False, 2500)


def test_a_network_that_tells_no_speed_is_none_and_no_zero(monkeypatch):
    unknown = SimpleNamespace(isup=True, speed=0)
    monkeypatch.setattr(host.psutil, "net_if_stats", lambda: {"lo": unknown})
    monkeypatch.setattr(host.psutil, "sensors_battery", lambda: None)
    assert host.read_surroundings() == host.Surroundings()


@pytest.mark.parametrize(
    ("sensors", "found"),
    [
        ({}, (None, None)),
        ({"nvme": [SimpleNamespace(current=40.0, high=80.0, critical=None)]}, (None, None)),
        (
            {
                "coretemp": [
                    SimpleNamespace(current=61.0, high=90.0, critical=100.0),
                    SimpleNamespace(current=64.0, high=None, critical=100.0),
                ]
            },
            (64.0, 100.0),
        ),
        ({"k10temp": [SimpleNamespace(current=0.0, high=None, critical=None)]}, (None, None)),
    ],
)
def test_the_processors_temperature_is_that_of_its_hottest_place(monkeypatch, sensors, found):
    monkeypatch.setattr(host.psutil, "sensors_temperatures", lambda: sensors, raising=False)
    assert host.cpu_temperature_celsius() == found


def test_what_a_process_started_is_seen_and_whether_it_still_runs():
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        pids = host.tree(parent.pid)
        assert len(pids) == 2
        assert host.still_running(pids) == pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert parent.pid not in host.still_running(pids)
    assert host.tree(parent.pid) == {parent.pid}


def test_who_listens_on_a_port_is_told_where_the_system_lets_us_see_it(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert host.listening_on(port) == {os.getpid()}

    def refused(_kind):
        raise host.psutil.AccessDenied

    monkeypatch.setattr(host.psutil, "net_connections", refused)
    assert host.listening_on(port) == frozenset()


def test_what_only_clears_up_after_the_others_holds_no_devices_memory():
    # The name is put together there: the parent's own command must not hold it.
    tracker = "'import time; time.sleep(60)  # multiprocessing.' + 'resource_tracker'"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {tracker}])"
    code += "; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        pids = host.tree(parent.pid)
        assert len(pids) == 2
        assert host.memory_holders(parent.pid) == {parent.pid}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

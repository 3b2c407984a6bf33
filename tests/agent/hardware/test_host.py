from __future__ import annotations

import getpass
import platform
import socket

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

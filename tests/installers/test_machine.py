"""The machine that the installers' tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
KILLED = """
import sys; sys.path.insert(0, sys.argv[1])
import machine
made = machine.Machine(machine.base()).start()
print(made._folder, flush=True)
sys.stdin.read()
"""


def leftovers(folder: Path) -> list[str]:
    """What is still there of the machine that was in this folder."""
    found = [str(folder)] if folder.exists() else []
    if folder.name in Path("/proc/self/mountinfo").read_text():
        found.append("a mount")
    found += [
        f"process {process.pid}"
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in (process.info["cmdline"] or [])
    ]
    groups = os.walk("/sys/fs/cgroup")  # other machines' come and go meanwhile
    return found + [top for top, _, _ in groups if Path(top).name.startswith(folder.name)]


def test_a_machine_boots_keeps_its_files_over_a_reboot_and_leaves_nothing(debian, tmp_path):
    (tmp_path / "note").write_text("kept")
    debian.copy_in(tmp_path / "note", "/srv/note")
    assert debian.run("ps", "-p", "1", "-o", "comm=").strip() == "systemd"
    assert debian.state() == "running"

    debian.reboot()
    assert debian.run("cat", "/srv/note") == "kept"
    assert (debian.root / "srv/note").read_text() == "kept"

    debian.cut_power()
    debian.boot()
    assert debian.run("cat", "/srv/note") == "kept"

    folder = debian._folder
    debian.close()
    assert leftovers(folder) == []


def test_a_killed_test_run_leaves_no_machine_behind(machines):
    machines(boot=False)  # skips where none can be made
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, HERE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        said = run.stdout.readline().strip()
        assert said, "it made no machine"
        folder = Path(said)
        assert leftovers(folder) != []
        run.kill()
    deadline = time.monotonic() + 300
    while leftovers(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert leftovers(folder) == []


def test_a_bare_root_runs_programs_without_systemd(machines):
    bare = machines(boot=False)
    assert bare.run("ps", "-p", "1", "-o", "comm=").strip() == "sleep"
    assert "VERSION_CODENAME=bookworm" in bare.run("cat", "/etc/os-release")

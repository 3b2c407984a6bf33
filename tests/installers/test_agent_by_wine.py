"""The agent's calls into Windows, run by wine: locks, rights of files, DPAPI, the engine's job."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAM = r"""
import os, subprocess, sys
from pathlib import Path
from byoi_agent.config import files
from byoi_agent.config.file_locks import lock
from byoi_agent.engine import guard_windows
from byoi_agent.errors import ConfigError
from byoi_agent.identity.dpapi import machine_seal

# One further down: wine hands no rights down, so that this one is open and its files are not.
home = Path(os.environ["TEMP"]) / "byoi-looked-at" / "state"
files.make_private_folder(home)
with (home / "lock").open("w") as first, (home / "lock").open("r+") as second:
    print("locks", lock(first.fileno()), lock(second.fileno()))
    first.close()
    print("let go", lock(second.fileno(), is_shared=True))
files.write_private(home / "key", b"one")
files.write_private(home / "key", b"two")
print("private", files.read_private(home / "key"))
calls = files._windows.calls
os.close(calls.create(home / "open", f"D:P(A;;FA;;;{calls.me()})(A;;FR;;;WD)"))
try:
    files.read_private(home / "open")
except ConfigError as error:
    print("refused", "icacls" in str(error))
seal = machine_seal()
print("sealed", seal.open(seal.close(b"secret")))
engine = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']); sys.exit(3)"
argv = [sys.executable, "-I", "-S", guard_windows.__file__, "3", sys.executable, "-c", engine]
kept = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
with subprocess.Popen(argv, text=True, **kept) as guard:
    told = guard.stdout.read()  # its leash is held meanwhile: without it, the engine is hurried
print("guard", told.split()[-1], guard.returncode)
"""

pytestmark = pytest.mark.installer


@pytest.fixture
def windows(tmp_path):
    if "windows_machine" not in sys.modules:
        spec = importlib.util.spec_from_file_location("windows_machine", HERE / "windows.py")
        sys.modules["windows_machine"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["windows_machine"])
    by_wine = sys.modules["windows_machine"]
    try:
        machine = by_wine.machine(tmp_path / "prefix")
    except by_wine.MissingError as missing:
        pytest.skip(str(missing))
    yield machine
    machine.close()


def test_what_the_agent_asks_of_windows_is_done(windows, tmp_path):
    (tmp_path / "look.py").write_text(PROGRAM)
    paths = ";".join("Z:" + str(ROOT / name).replace("/", "\\") for name in ("agent", "wire"))
    done = windows.run(windows.python, tmp_path / "look.py", PYTHONPATH=paths)
    assert done.code == 0, done.said
    assert done.said.split("\n")[:6] == [
        "locks True False",
        "let go True",
        "private b'two'",
        "refused True",
        "sealed b'secret'",
        "guard 3} 0",
    ]

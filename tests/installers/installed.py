"""Puts an installation of the kind `versions` into a machine, as install.sh leaves it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = Path.home() / ".cache" / "byoi-tests"
OPT = Path("/opt/byoi")
VERSION = "0.1.0"
SITE = f"versions/{VERSION}/lib/python3.11/site-packages"
LAUNCHER = '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")"/../current/bin/byoi "$@"\n'
PROGRAM = (
    f"#!{OPT}/versions/{VERSION}/bin/python\n"
    "import sys\nfrom byoi_agent.cli.main import main\nsys.exit(main())\n"
)

sys.path.insert(0, str(ROOT / "installers"))


def packages() -> Path:
    """The locked packages of the agent for Debian 12's Python, unpacked once for each lockfile."""
    import wheels

    key = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()[:12]
    folder = STORE / f"agent-packages-{key}"
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = STORE / f"making-{folder.name}"
            shutil.rmtree(making, ignore_errors=True)
            wheels.install_into(making, platform="linux-x86_64", python="3.11")
            making.rename(folder)
    return folder


def put_into(machine, scratch: Path) -> None:
    """The environment below /opt/byoi; the service is not set up."""
    import wheels

    tree = scratch / "byoi"
    site = tree / SITE
    shutil.copytree(packages(), site, symlinks=True)
    for wheel in wheels.own_wheels(scratch / "wheels"):
        zipfile.ZipFile(wheel).extractall(site)
    home = tree / "versions" / VERSION
    (home / "bin").mkdir()
    (home / "bin/python").symlink_to("/usr/bin/python3")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    facts = {"kind": "versions", "version": VERSION, "index": None, "root": str(OPT)}
    (home / "installation.json").write_text(json.dumps(facts))
    _program(home / "bin/byoi", PROGRAM)
    (tree / "current").symlink_to(f"versions/{VERSION}")
    (tree / "bin").mkdir()
    _program(tree / "bin/byoi", LAUNCHER)
    machine.copy_in(tree, OPT)


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)

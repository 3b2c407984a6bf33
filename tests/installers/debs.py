"""The package in two versions of the same code, and a machine on which the older one is installed.

Both are made once for each state of the sources, for Debian 12's Python alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BUILDER = ROOT / "installers" / "ubuntu" / "build.py"
OLD, NEW = "0.0.9", "0.1.0"
OF_DEBIAN_12 = ("3.11",)
BUILD_SECONDS = 1200
OF_THE_SYSTEM = (
    *("proc", "sys", "dev", "run", "tmp", "srv", "var/log", "var/tmp", "etc/machine-id"),
    *("var/cache/apt", "var/lib/apt", "var/cache/ldconfig", "var/cache/debconf", "var/lib/dpkg"),
    *("etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock"),
    *("etc/subuid-", "etc/subgid-", "var/lib/systemd"),
)
"""What apt, dpkg, systemd and useradd keep for themselves whatever is installed."""


def start_build(
    into: Path, version: str, *more: str, pythons: tuple[str, ...] = OF_DEBIAN_12
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, BUILDER, "--out", into, "--version", version),
            *("--pythons", *pythons, *more),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def build(into: Path, *versions: str, pythons: tuple[str, ...] = OF_DEBIAN_12) -> dict[str, Path]:
    """All at once, each version's package by its version."""
    running = {
        version: start_build(into / version, version, pythons=pythons) for version in versions
    }
    made = {}
    for version, program in running.items():
        said, _ = program.communicate(timeout=BUILD_SECONDS)
        assert program.returncode == 0, version
        made[version] = Path(said.strip())
    return made


def files(machine) -> dict[str, tuple]:
    """Each path with kind, rights and owner, a file with its size too."""
    root, found = machine.root, {}
    for top, folders, names in os.walk(root):
        inside = Path(top).relative_to(root)
        folders[:] = [name for name in folders if str(inside / name) not in OF_THE_SYSTEM]
        for name in (*folders, *names):
            if (path := str(inside / name)) not in OF_THE_SYSTEM:
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    facts = os.lstat(Path(top, name))
                    size = 0 if name in folders else facts.st_size
                    found[path] = (facts.st_mode, facts.st_uid, facts.st_gid, size)
    found["var/lib/systemd"] = tuple(
        str(path.relative_to(root))
        for path in (root / "var/lib/systemd").rglob("*")
        if "byoi" in path.name
    )
    return found


def accounts(machine) -> list[str]:
    return [(machine.root / "etc" / name).read_text() for name in ("passwd", "group", "shadow")]


class Installed:
    """Sole owner of the layer on which tests of the package begin; `said` is what apt told."""

    def __init__(self, folder: Path, machinery: ModuleType, packages: dict[str, Path]) -> None:
        self.packages = packages
        self._machinery = machinery
        self._base = machinery.base()
        self.layer = folder / "layer"
        with machinery.Machine(self._base) as machine:
            for package in packages.values():
                machine.copy_in(package, f"/srv/{package.name}")
            machine.run("useradd", "--create-home", "alice")
            self.files, self.accounts = files(machine), accounts(machine)
            done = machine.execute("apt-get", "install", "--yes", path(OLD), SUDO_USER="alice")
            assert done.returncode == 0, done.stdout + done.stderr
            self.said = done.stdout
            machine.stop()
            machine.freeze(self.layer)

    def machine(self):
        """A machine of its own on which the older version was just installed."""
        return self._machinery.Machine(self._base, self.layer).start()

    def close(self) -> None:
        shutil.rmtree(self.layer)


def path(version: str) -> str:
    """Of a package inside the machine."""
    return f"/srv/byoi-agent_{version}_amd64.deb"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Where a layer may lie: not on a tmpfs, which holds no layers of its own."""
    store = Path.home() / ".cache" / "byoi-tests"
    store.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=store, prefix="debs-")

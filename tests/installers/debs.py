"""The package in two versions of the same code, and a machine on which the older one is installed.

Both are the package of the release that tests install (see released.py) by other numbers.
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
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
BUILDER = ROOT / "installers" / "ubuntu" / "build.py"
OLD, NEW = "0.0.9", "0.1.0"
OF_DEBIAN_12 = ("3.11",)
BUILD_SECONDS = 1200
HOME = "usr/lib/byoi-agent"
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


def build(into: Path, *versions: str, pythons: tuple[str, ...]) -> dict[str, Path]:
    """Each version's package by its version: one is built, the others are it by other numbers."""
    *others, newest = versions
    program = start_build(into / newest, newest, pythons=pythons)
    said, _ = program.communicate(timeout=BUILD_SECONDS)
    assert program.returncode == 0, newest
    package = Path(said.strip())
    return {newest: package, **{each: renumbered(package, each, into / each) for each in others}}


def renumbered(
    package: Path, version: str, into: Path, change: Callable[[Path], None] = lambda _: None
) -> Path:
    """The same code as another version's package, for which `change` is done to its tree."""
    before = package.name.split("_")[1]
    into.mkdir(exist_ok=True)
    tree, made = into / f"tree-{version}", into / package.name.replace(before, version)
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    for about in tree.rglob(f"byoi_*-{before}.dist-info"):
        put(about / "METADATA", f"Version: {before}", f"Version: {version}")
        about.rename(about.with_name(about.name.replace(before, version)))
    put(tree / "DEBIAN/control", f"Version: {before}", f"Version: {version}")
    put(tree / HOME / "installation.json", before, version)
    change(tree)
    pack = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, made]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


def put(file: Path, old: str, new: str) -> None:
    """In this file alone: the packages of several Pythons are one file by several names."""
    text, mode = file.read_text(), file.stat().st_mode
    assert old in text
    file.unlink()
    file.write_text(text.replace(old, new, 1))
    file.chmod(mode)


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

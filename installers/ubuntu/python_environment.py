"""The virtual environment inside the package: one for all of Debian's Pythons that it serves.

A virtual environment's packages lie in lib/python3.N of the interpreter that runs, so several of
them stand side by side, and files that are the same are one file with several names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import wheels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PREFIX = "usr/lib/byoi-agent"
AT_A_TIME = 2
PROGRAMS = ("uv",)
"""What is kept of the programs that packages bring; ours is written by the package's builder."""

OF_THIS_BUILD = {"direct_url.json", "uv_cache.json", "REQUESTED"}
"""Notes of the installing program that tell where, and when, a package was built."""


def make_environment(prefix: Path, *, platform: str, version: str, pythons: Sequence[str]) -> None:
    """Fill the folder `prefix`; nothing of it is run."""
    (prefix / "bin").mkdir(parents=True)
    _write_configuration(prefix)
    with tempfile.TemporaryDirectory(prefix="byoi-own-") as folder:
        own = wheels.own_wheels(Path(folder), version=version)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(lambda python: _fill(prefix, platform, python, own), pythons))
    for python in pythons:
        _take_programs(prefix, _packages(prefix, python))
    _join_same_files(prefix / "lib")


def notices(prefix: Path) -> Iterator[str]:
    """Name, version and licence of each package inside, with the folder of its own words."""
    seen = set()
    for file in sorted(prefix.glob("lib/*/site-packages/*.dist-info/METADATA")):
        if file.parent.name in seen:
            continue
        seen.add(file.parent.name)
        told = HeaderParser().parsestr(file.read_text(encoding="utf-8"))
        kind = " ".join((told["License-Expression"] or told["License"] or "").split()[:12])
        classes = (
            value.split(" :: ")[-1]
            for value in told.get_all("Classifier") or ()
            if value.startswith("License :: ")
        )
        yield f"\n{told['Name']} {told['Version']}: {kind or ', '.join(classes)}\n"
        for words in sorted(path for path in file.parent.rglob("*") if _is_licence(path)):
            yield f"  /{PREFIX}/{words.relative_to(prefix)}\n"


def _is_licence(path: Path) -> bool:
    wanted = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
    return path.is_file() and path.name.upper().startswith(wanted)


def _packages(prefix: Path, python: str) -> Path:
    return prefix / "lib" / f"python{python}" / "site-packages"


def _write_configuration(prefix: Path) -> None:
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to("../../../bin/python3")


def _fill(prefix: Path, platform: str, python: str, own: Sequence[Path]) -> None:
    target = _packages(prefix, python)
    wheels.install_into(target, platform=platform, python=python, own=own)
    (target / ".lock").unlink(missing_ok=True)  # uv's own
    for folder in target.glob("*.dist-info"):
        _forget_this_build(target, folder / "RECORD")


def _forget_this_build(target: Path, record: Path) -> None:
    kept = io.StringIO()
    lines = csv.writer(kept, lineterminator="\n")
    for line in csv.reader(record.read_text(encoding="utf-8").splitlines()):
        path = Path(line[0])
        is_note = path.name in OF_THIS_BUILD and path.parent.name == record.parent.name
        if is_note or path.name == ".gitignore":
            (target / path).unlink(missing_ok=True)
        elif path.parts[0] not in {"bin", "share"}:
            lines.writerow(line)
    record.write_text(kept.getvalue(), encoding="utf-8")


def _take_programs(prefix: Path, packages: Path) -> None:
    for name in PROGRAMS:
        (packages / "bin" / name).replace(prefix / "bin" / name)
    for folder in ("bin", "share"):
        shutil.rmtree(packages / folder, ignore_errors=True)


def _join_same_files(folder: Path) -> None:
    """Make hard links of what is the same for several Pythons: four take little more than one."""
    first: dict[tuple[Path, str], Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if not (data := path.read_bytes()):
            continue
        below = path.relative_to(folder).relative_to(path.relative_to(folder).parts[0])
        key = (below, hashlib.sha256(data).hexdigest())
        if (same := first.setdefault(key, path)) is not path:
            path.unlink()
            os.link(same, path)

"""The parts of a release, each of which can be built by itself: what is made, by which program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bundle
import sbom
import wheels
from platforms import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INSTALLERS = wheels.ROOT / "installers"


class CannotBuildError(Exception):
    """A part that this machine, or this release, cannot have; the message says why."""


@dataclass(frozen=True)
class Build:
    """What every part is told.

    `root` is the trusted root of the index, `key` the release's public key as PEM, `url` where
    the files will lie: None where nobody said.
    """

    into: Path
    root: Path
    key: str
    url: str | None
    own: list[Path]

    @property
    def index(self) -> str | None:
        """Where nodes update from."""
        return None if self.url is None else f"{self.url.rstrip('/')}/repository"


@dataclass(frozen=True)
class Part:
    """One line of the release's report."""

    name: str
    make: Callable[[Build], None]


def _script(path: str, *words: str, folder: str = "--out") -> Callable[[Build], None]:
    """A program that builds into a folder, told of the index's root and address."""

    def make(build: Build) -> None:
        program = INSTALLERS / path
        if not program.exists():
            raise CannotBuildError(f"installers/{path} is not there")
        address = () if build.index is None else ("--index", build.index)
        done = subprocess.run(
            [
                *(sys.executable, str(program), *words),
                *(folder, str(build.into), "--root", str(build.root), *address),
            ],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(wheels.source_date_epoch())},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotBuildError((done.stderr or done.stdout).strip()[-2000:])

    return make


def _sdists(build: Build) -> None:
    wheels.own_sdists(build.into)


def _bundle(platform: str) -> Callable[[Build], None]:
    def make(build: Build) -> None:
        carried = [wheel for wheel in build.own if not wheel.name.startswith("byoi_console")]
        bundle.build(build.into, platform, root=build.root, index=build.index, own=carried)

    return make


def _lists(build: Build) -> None:
    for product in sbom.PRODUCTS:
        listed = sbom.build(product)
        sbom.check(listed)
        file = build.into / f"{product}-{wheels.version()}.cdx.json"
        file.write_text(json.dumps(listed, indent=2) + "\n")


def _installer(path: str) -> Callable[[Build], None]:
    """What people start with, with the release's key and address written in."""

    def make(build: Build) -> None:
        source = INSTALLERS / path
        if not source.exists():
            raise CannotBuildError(f"installers/{path} is not there")
        target = build.into / source.name
        target.write_bytes(written_in(source.read_text(encoding="utf-8"), build).encode())
        shutil.copymode(source, target)

    return make


def written_in(script: str, build: Build) -> str:
    """A script with the release's key, its address and that of the index in their places."""
    values = {
        "@RELEASE_PUBLIC_KEY@": build.key.strip(),
        "@RELEASE_URL@": build.url,
        "@INDEX_URL@": build.index,
    }
    for place, value in values.items():
        if value is not None:
            script = script.replace(place, value)
    return script


PARTS = (
    Part("setup for Windows", _script("windows/build.py", folder="--into")),
    Part("bundle linux-x86_64", _bundle("linux-x86_64")),
    Part("deb amd64", _script("ubuntu/build.py", "--arch", "amd64")),
    Part("bundle linux-aarch64", _bundle("linux-aarch64")),
    Part("deb arm64", _script("ubuntu/build.py", "--arch", "arm64")),
    *(Part(f"bundle {name}", _bundle(name)) for name in PLATFORMS if not name.startswith("linux-")),
    Part("chart", _script("chart.py")),
    Part("source distributions", _sdists),
    Part("lists of parts", _lists),
    Part("install.sh", _installer("install.sh")),
    Part("install.ps1", _installer("windows/install.ps1")),
)
"""Longest first: two are built at a time."""

AFTERWARDS = (Part("formula for Homebrew", _script("macos/build.py")),)
"""What names the hashes of other parts."""

"""Wheels of ours and the locked ones they need: what every package and bundle is made of.

Our own are built from a copy of the tree, with the time of the last commit and pinned tools, so
that the same source gives the same bytes anywhere. The others are those that `uv.lock` names,
checked against its hashes and kept in a cache, so that only the first build downloads.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from download import cached
from packaging.pylock import PackageWheel, Pylock
from platforms import PLATFORMS
from scan import complaints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".ci" / "uv"
BUILD_REQUIREMENTS = ROOT / "installers" / "build-requirements.txt"
PRODUCTS = ("wire", "agent", "console")
DOWNLOADS = 8
"""At a time."""

DEAD_WEIGHT = re.compile(r"(^|/)(tests?|testing|test_data)/|\.(pyx|pxd|pxi|c|h)$|^example\.py$")
"""Of an installed package: tests, sources of what is compiled, and nvidia-ml-py's example."""

NEEDED_ALL_THE_SAME = re.compile(r"^(click|jinja2|pydantic|huggingface_hub|byoi_\w+)/")
"""Where a folder or file of such a name is part of the program."""


class BadWheelError(Exception):
    """A wheel carries what would run by itself, or takes another package's name."""


class NoWheelError(Exception):
    """A locked package has no wheel for a platform: nothing is compiled on a provider's machine."""


def version() -> str:
    """The product's: all three distributions have the same."""
    return versions()["agent"]


def versions() -> dict[str, str]:
    """Of each distribution."""
    return {
        name: tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]["version"]
        for name in PRODUCTS
    }


def source_date_epoch() -> int:
    """Seconds of the last commit, or what the caller says; 1980 where there is no history."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(
        ["git", "-C", ROOT, "log", "-1", "--format=%ct"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else 315532800


def environment() -> dict[str, str]:
    """For programs whose output must be the same anywhere."""
    return {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(source_date_epoch()),
        "UV_COMPILE_BYTECODE": "0",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }


def own_wheels(
    into: Path, *, version: str | None = None, packages: Sequence[str] = ("wire", "agent")
) -> list[Path]:
    """Build wheels of this tree; `version` other than the tree's own for tests of upgrades."""
    return _build(into, "wheel", version, packages)


def own_sdists(
    into: Path, *, version: str | None = None, packages: Sequence[str] = PRODUCTS
) -> list[Path]:
    """Build source distributions; each builds again by itself, without the workspace."""
    return _build(into, "sdist", version, packages)


def _build(into: Path, kind: str, wanted: str | None, packages: Sequence[str]) -> list[Path]:
    into.mkdir(parents=True, exist_ok=True)
    wanted = wanted or version()
    with tempfile.TemporaryDirectory(prefix="byoi-build-") as folder, ThreadPoolExecutor(2) as pool:
        return list(
            pool.map(lambda name: _build_one(Path(folder), into, kind, wanted, name), packages)
        )


def _build_one(folder: Path, into: Path, kind: str, wanted: str, name: str) -> Path:
    source = _copied(folder, name, wanted)
    made = folder / f"{name}-{kind}"
    run_uv(
        *("build", f"--{kind}", "--quiet", "--no-config", "--no-create-gitignore"),
        *("--require-hashes", "--build-constraints", BUILD_REQUIREMENTS),
        *("--python", sys.executable, "--out-dir", made, source),
    )
    (built,) = made.iterdir()
    return Path(shutil.move(built, into / built.name))


def _copied(folder: Path, name: str, wanted: str) -> Path:
    """The distribution by itself, ours among its requirements pinned to its own version."""
    target = folder / name
    shutil.copytree(
        ROOT / name,
        target,
        ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "build", "dist", "*.egg-info"),
    )
    shutil.copyfile(ROOT / "LICENSE", target / "LICENSE")
    project = target / "pyproject.toml"
    text = re.sub(r'(?m)^version = "[^"]*"', f'version = "{wanted}"', project.read_text(), count=1)
    text = re.sub(r'(?<!name = )"(byoi-(?:wire|agent|console))"', rf'"\1=={wanted}"', text)
    project.write_text(re.sub(r"(?ms)^\[tool\.uv\.sources\]\n.*?\n(?=\[)", "", text))
    return target


def locked_requirements(extras: Iterable[str] = (), *, package: str = "byoi-agent") -> str:
    """All that one of our distributions needs but our own, pinned, with markers and hashes."""
    return _export("requirements.txt", extras, package)


def _export(form: str, extras: Iterable[str], package: str) -> str:
    return run_uv(
        *("export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace"),
        *("--no-annotate", "--no-header", "--format", form, "--package", package),
        *(word for extra in extras for word in ("--extra", extra)),
    )


@cache
def _lock(extras: tuple[str, ...], package: str) -> Pylock:
    return Pylock.from_dict(tomllib.loads(_export("pylock.toml", extras, package)))


def locked_wheels(
    *, platform: str, python: str, extras: Iterable[str] = (), package: str = "byoi-agent"
) -> Iterator[PackageWheel]:
    """The wheel of each locked package that a platform's Python takes.

    Raises:
        NoWheelError: one has none; leave that Python out.
    """
    there = PLATFORMS[platform]
    selected = _lock(tuple(extras), package).select(
        environment=there.environment(python), tags=there.tags(python)
    )
    for locked, wheel in selected:
        if not isinstance(wheel, PackageWheel):
            raise NoWheelError(
                f"{locked.name} {locked.version} has no wheel for {platform}, Python {python}"
            )
        yield wheel


def collect(
    into: Path,
    *,
    platform: str,
    pythons: Sequence[str],
    extras: Iterable[str] = (),
    package: str = "byoi-agent",
) -> None:
    """Put every wheel of others that these Pythons of a platform need into a folder.

    Raises:
        NoWheelError: one has none for one of them.
        BadWheelError: one must not get onto anybody's machine.
    """
    into.mkdir(parents=True, exist_ok=True)
    wanted = {
        wheel.filename: wheel
        for python in pythons
        for wheel in locked_wheels(platform=platform, python=python, extras=extras, package=package)
    }
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        for name, kept in pool.map(lambda wheel: (wheel.filename, cached(wheel)), wanted.values()):
            refuse_bad(kept)
            shutil.copyfile(kept, into / name)


def refuse_bad(wheel: Path) -> None:
    """Let a wheel pass, or not.

    Raises:
        BadWheelError: it must not get onto anybody's machine.
    """
    if found := complaints(wheel):
        raise BadWheelError("\n".join(found))


def install_into(
    target: Path,
    *,
    platform: str,
    python: str,
    own: Sequence[Path] = (),
    extras: Iterable[str] = (),
    package: str = "byoi-agent",
) -> None:
    """Unpack the locked packages, and wheels of ours, as another machine's Python will see them.

    What no node needs is left out: tests, sources of what is compiled.
    """
    with tempfile.TemporaryDirectory(prefix="byoi-wheels-") as folder:
        collect(Path(folder), platform=platform, pythons=[python], extras=extras, package=package)
        run_uv(
            *("pip", "install", "--quiet", "--offline", "--no-index", "--no-deps", "--no-config"),
            *("--link-mode", "copy", "--python", sys.executable, "--target", target),
            *("--python-platform", PLATFORMS[platform].uv_name, "--python-version", python),
            *(*sorted(Path(folder).iterdir()), *own),
        )
    _lighten(target)


def _lighten(target: Path) -> None:
    """Remove dead weight, and its lines in the records of what is installed."""
    for record in target.glob("*.dist-info/RECORD"):
        kept = []
        for line in record.read_text().splitlines(keepends=True):
            path = line.split(",")[0]
            if DEAD_WEIGHT.search(path) and not NEEDED_ALL_THE_SAME.search(path):
                (target / path).unlink(missing_ok=True)
            else:
                kept.append(line)
        record.write_text("".join(kept))
    for folder in sorted((each for each in target.rglob("*") if each.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def run_uv(*words: str | Path) -> str:
    """What `uv` prints.

    Raises:
        SystemExit: it failed; what it said is passed on.
    """
    done = subprocess.run(
        [UV, *words], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"`uv {' '.join(map(str, words[:2]))}` failed:\n{done.stderr or done.stdout}")
    return done.stdout

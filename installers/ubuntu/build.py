"""Builds dist/byoi-agent_VERSION_amd64.deb: `make deb`; the other kind with `--arch arm64`.

Nothing of the package's architecture is run, so one machine builds both; the same commit gives
the same bytes. docs/decisions/0034 says why it is built so.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[:2]]

import wheels  # noqa: E402 the folder of all installers, see above
from platforms import PYTHONS  # noqa: E402 the folder of all installers, see above
from python_environment import PREFIX, make_environment, notices  # noqa: E402 the folder of all installers, see above

ROOT = wheels.ROOT
HERE = Path(__file__).resolve().parent
DEBIAN = HERE / "debian"
UNITS = ROOT / "systemd"
PLATFORMS = {"amd64": "linux-x86_64", "arm64": "linux-aarch64"}
SERVICE = {
    "account": "byoi",
    "state": "/var/lib/byoi",
    "cache": "/var/cache/byoi",
    "runtime": "/run/byoi",
    "config": "/etc/byoi/config.toml",
}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
LINE = 74
"""Letters that fit beside the indent of a line of Debian's changelog."""

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/byoi",
    "zsh": "usr/share/zsh/vendor-completions/_byoi",
    "fish": "usr/share/fish/vendor_completions.d/byoi.fish",
}


def main() -> None:
    """Build what the command line asks for, and print its path."""
    options = _options()
    print(
        build(
            options.out,
            architecture=options.arch,
            version=options.version,
            pythons=tuple(options.pythons),
            index=options.index,
            trust=options.root,
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=PLATFORMS, default="amd64")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--version", help="another than the tree's own, for tests of upgrades")
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="3.N")
    parser.add_argument("--index", metavar="URL", help="where this package's updates come from")
    parser.add_argument("--root", type=Path, metavar="FILE", help="root.json of that index")
    return parser.parse_args()


def build(
    out: Path,
    *,
    architecture: str = "amd64",
    version: str | None = None,
    pythons: tuple[str, ...] = PYTHONS,
    index: str | None = None,
    trust: Path | None = None,
) -> Path:
    """Make the package in the folder `out`; its path.

    Args:
        out: made where it is missing.
        architecture: Debian's name of it.
        version: of the product; the tree's own if None.
        pythons: whose packages it carries; it depends on one of them.
        index: URL of the signed index of updates.
        trust: the index's root.json.

    Raises:
        SystemExit: a tool failed or is missing; it says which.
    """
    version = version or wheels.version()
    out.mkdir(parents=True, exist_ok=True)
    package = out / f"byoi-agent_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="byoi-deb-") as folder:
        tree = Path(folder, "tree")
        tree.mkdir()
        _add_environment(tree, PLATFORMS[architecture], version, pythons, index, trust)
        _add_units(tree)
        _add_for_people(tree, version)
        _add_control(tree, architecture, version, pythons)
        _settle(tree)
        _pack(tree, package)
    return package


def _add_environment(
    tree: Path,
    platform: str,
    version: str,
    pythons: tuple[str, ...],
    index: str | None,
    trust: Path | None,
) -> None:
    prefix = tree / PREFIX
    make_environment(prefix, platform=platform, version=version, pythons=pythons)
    place = {"kind": "deb", "version": version, "index": index, "root": None, "service": SERVICE}
    _write(prefix / "installation.json", json.dumps(place, indent=2) + "\n")
    if trust is not None:
        shutil.copyfile(trust, prefix / "root.json")
    shutil.copyfile(DEBIAN / "byoi", prefix / "bin" / "byoi")
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/byoi").symlink_to(f"../{PREFIX.removeprefix('usr/')}/bin/byoi")
    _copy(DEBIAN / "byoi-agent.rtupdate", tree / "usr/share/python3/runtime.d/byoi-agent.rtupdate")


def _add_units(tree: Path) -> None:
    """All of the folder `systemd`, each where Debian has its like."""
    for source in sorted(path for path in UNITS.rglob("*") if path.is_file()):
        name = source.relative_to(UNITS)
        match name.parts[0]:
            case "user":
                target = f"usr/lib/systemd/{name}"
            case "examples":
                target = f"usr/share/doc/byoi-agent/{name}"
            case "sysusers.conf":
                target = "usr/lib/sysusers.d/byoi-agent.conf"
            case "tmpfiles.conf":
                target = "usr/lib/tmpfiles.d/byoi-agent.conf"
            case _:
                target = f"usr/lib/systemd/system/{name}"
        _copy(source, tree / target)


def _add_for_people(tree: Path, version: str) -> None:
    """Settings to begin with, manual pages, completions, and what Debian wants told."""
    _copy(DEBIAN / "config.toml", tree / "usr/share/byoi-agent/config.toml")
    _copy(DEBIAN / "lintian-overrides", tree / "usr/share/lintian/overrides/byoi-agent")
    pages = tree / "usr/share/man/man1"
    _run(sys.executable, ROOT / "docs" / "manual.py", pages)
    for page in sorted(pages.iterdir()):
        _compress(page)
    for shell, place in COMPLETIONS.items():
        _write(tree / place, _run(sys.executable, "-m", "byoi_agent.cli.main", "completion", shell))
    about = tree / "usr/share/doc/byoi-agent"
    _write(about / "copyright", _copyright(tree))
    _write(about / "changelog", _changelog(version))
    _compress(about / "changelog")


def _copyright(tree: Path) -> str:
    return (DEBIAN / "copyright").read_text() + "".join(notices(tree / PREFIX))


def _changelog(version: str) -> str:
    """The newest section of CHANGELOG.md in Debian's form."""
    section = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    changes = re.findall(r"(?m)^- (.*)", section)
    folded = "\n".join(f"  * {_folded(change)}" for change in changes)
    day = format_datetime(datetime.fromtimestamp(wheels.source_date_epoch(), UTC))
    return (
        f"byoi-agent ({_debian_version(version)}) stable; urgency=medium\n\n{folded}\n\n"
        f" -- byoi maintainers <maintainers@byoi.invalid>  {day}\n"
    )


def _folded(change: str) -> str:
    """In lines of at most 80 characters, which are Debian's."""
    lines, line = [], ""
    for word in change.replace("`", "'").split():
        if line and len(line) + len(word) > LINE:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n    ".join([*lines, line])


def _debian_version(version: str) -> str:
    """A pre-release comes before its release: 0.2.0rc1 is 0.2.0~rc1 there."""
    return re.sub(r"(?<=\d)(a|b|rc|\.dev)(?=\d)", r"~\1", version)


def _add_control(tree: Path, architecture: str, version: str, pythons: tuple[str, ...]) -> None:
    control = tree / "DEBIAN"
    control.mkdir()
    newest = max(int(python.partition(".")[2]) for python in pythons)
    values = {
        "VERSION": _debian_version(version),
        "ARCHITECTURE": architecture,
        "INSTALLED_SIZE": str(_size_kib(tree)),
        "FIRST_PYTHON": min(pythons, key=lambda python: int(python.partition(".")[2])),
        "NO_PYTHON": f"3.{newest + 1}",
    }
    text = (DEBIAN / "control").read_text()
    _write(control / "control", re.sub(r"@(\w+)@", lambda found: values[found[1]], text))
    for script in SCRIPTS:
        _copy(DEBIAN / script, control / script)
    files = sorted(path for path in (tree / "usr").rglob("*") if _is_plain(path))
    _write(
        control / "md5sums",
        "".join(f"{_md5(path)}  {path.relative_to(tree)}\n" for path in files),
    )


def _size_kib(tree: Path) -> int:
    """As Debian counts: each file to whole KiB, hard links once, one for a folder or link."""
    seen: set[int] = set()
    size = 0
    for path in tree.rglob("*"):
        found = path.lstat()
        if found.st_ino not in seen:
            seen.add(found.st_ino)
            size += -(-found.st_size // 1024) if _is_plain(path) else 1
    return size


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _settle(tree: Path) -> None:
    """Rights and times that do not depend on who builds, or when."""
    when = wheels.source_date_epoch()
    programs = {tree / PREFIX / "bin" / name for name in ("byoi", "uv")}
    programs |= {tree / "DEBIAN" / name for name in SCRIPTS}
    programs.add(tree / "usr/share/python3/runtime.d/byoi-agent.rtupdate")
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)
        os.utime(path, (when, when), follow_symlinks=False)


def _pack(tree: Path, package: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        sys.exit("dpkg-deb is missing: apt install dpkg, or build on Debian or Ubuntu")
    draft = package.with_suffix(".new")
    # One thread: with several the bytes depend on how many there were.
    _run(
        *("dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zzstd", "-z10"),
        *("--no-uniform-compression", "--build", tree, draft),
    )
    draft.replace(package)


def _compress(file: Path) -> None:
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
    file.unlink()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _run(*words: str | Path) -> str:
    done = subprocess.run(
        words, cwd=ROOT, env=wheels.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"`{' '.join(map(str, words[:3]))}` failed:\n{done.stderr or done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()

"""Bundles: all that an agent needs on one platform, to be installed without a network.

`make release` builds them; alone: `python installers/bundle.py --platform linux-x86_64`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import archive
import facts
import wheels
from platforms import PLATFORMS

SERVICE_FILES = {
    "linux": ("systemd", wheels.ROOT / "systemd"),
    "darwin": ("launchd", wheels.ROOT / "installers" / "macos" / "launchd"),
}
"""What a platform's bundle has beside the wheels, and where it lies in the tree."""


class NothingToBundleError(Exception):
    """No Python of the platform can have all that is locked."""


def build(
    into: Path,
    platform: str,
    *,
    root: Path | None = None,
    index: str | None = None,
    own: list[Path] | None = None,
) -> Path:
    """One bundle; its nodes update from the index at that URL, which they trust by `root`.

    Raises:
        NothingToBundleError: a locked package has no wheel for any Python of that platform.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="byoi-bundle-") as folder:
        content = Path(folder, "content")
        carried = content / "wheels"
        pythons, left_out = _collect(carried, platform)
        for wheel in own or wheels.own_wheels(Path(folder, "own")):
            shutil.copyfile(wheel, carried / wheel.name)
        (content / "requirements.txt").write_text(requirements(carried))
        about = {
            **facts.release(),
            "index": index,
            "platform": platform,
            "pythons": pythons,
            "left_out": left_out,
        }
        (content / "release.json").write_text(json.dumps(about, indent=2) + "\n")
        _add_service_files(content, PLATFORMS[platform].sys_platform)
        shutil.copyfile(wheels.ROOT / "LICENSE", content / "LICENSE")
        if root is not None:
            shutil.copyfile(root, content / "root.json")
        top = f"byoi-agent-{about['version']}"
        return archive.pack(
            into / f"{top}-{platform}.tar.gz", content, top=top, epoch=wheels.source_date_epoch()
        )


def _collect(carried: Path, platform: str) -> tuple[list[str], dict[str, str]]:
    """The Pythons whose wheels are carried now; the others, each with its reason."""
    pythons: list[str] = []
    left_out: dict[str, str] = {}
    for python in PLATFORMS[platform].pythons:
        try:
            wheels.collect(carried, platform=platform, pythons=[python])
        except wheels.NoWheelError as error:
            left_out[python] = str(error)
        else:
            pythons.append(python)
    if not pythons:
        raise NothingToBundleError(next(iter(left_out.values())))
    return pythons, left_out


def requirements(carried: Path) -> str:
    """For `--require-hashes`: what is carried, and nothing that is not.

    Markers stay, since a bundle serves several Pythons.
    """
    hashes = {_sha256(wheel): wheel for wheel in sorted(carried.glob("*.whl"))}
    lines = only(wheels.locked_requirements(), set(hashes))
    for digest, wheel in hashes.items():
        if wheel.name.startswith("byoi_"):
            name, version = wheel.name.split("-")[:2]
            lines.append(f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{digest}")
    return "\n".join(lines) + "\n"


def only(exported: str, hashes: set[str]) -> list[str]:
    """The requirements that have one of these hashes, with those hashes alone."""
    kept = []
    for requirement in exported.replace("\\\n", "").splitlines():
        pin = requirement.split(" --hash=")[0].strip()
        here = [each for each in re.findall(r"sha256:(\w+)", requirement) if each in hashes]
        if here:
            kept.append(" \\\n    ".join([pin, *(f"--hash=sha256:{each}" for each in here)]))
    return kept


def _add_service_files(content: Path, system: str) -> None:
    name, source = SERVICE_FILES.get(system, ("", Path()))
    if name and source.is_dir():
        shutil.copytree(source, content / name)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    """Build the bundles that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=wheels.ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--platform", action="append", choices=sorted(PLATFORMS))
    parser.add_argument("--root", type=Path, metavar="FILE", help="the index's root.json")
    parser.add_argument("--index", metavar="URL", help="where updates come from")
    arguments = parser.parse_args()
    failed = False
    for platform in arguments.platform or PLATFORMS:
        try:
            print(build(arguments.out, platform, root=arguments.root, index=arguments.index))
        except NothingToBundleError as error:
            print(f"{platform}: no bundle: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

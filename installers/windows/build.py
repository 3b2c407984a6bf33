"""Builds the installer for Windows on Debian: `python installers/windows/build.py`.

It carries what the bundle for windows-x86_64 holds, uv.exe out of its own wheel, and the programs
that come onto PATH. The same source gives the same bytes, until somebody signs them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # run as a program of its own
    sys.path.insert(0, str(HERE.parent))

import bundle  # noqa: E402 of the folder above
import wheels  # noqa: E402

PLATFORM = "windows-x86_64"
COMPILER = "x86_64-w64-mingw32-gcc"
LAUNCHERS = {"byoi.exe": (), "byoi-window.exe": ("-DWINDOW", "-mwindows")}
"""The programs on PATH, and how launcher.c becomes each of them."""


class MissingToolError(Exception):
    """A program that the build needs is not on this machine."""


def build(
    into: Path,
    *,
    root: Path | None = None,
    index: str | None = None,
    own: list[Path] | None = None,
    payload: Path | None = None,
    version: str | None = None,
) -> Path:
    """`byoi-agent-VERSION-setup.exe`, unsigned.

    Args:
        into: the folder that it is put into.
        root: the trusted root of the index that its nodes update from.
        index: the URL of that index.
        own: our wheels, where they are built already.
        payload: an unpacked bundle to carry in place of a new one.
        version: what the installer says it installs; the tree's where nothing is said.

    Raises:
        MissingToolError: NSIS or the cross-compiler is missing.
    """
    version = version or wheels.version()
    for program, package in (("makensis", "nsis"), (COMPILER, "gcc-mingw-w64-x86-64")):
        if shutil.which(program) is None:
            raise MissingToolError(f"there is no {program} here: apt install {package}")
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"byoi-agent-{version}-setup.exe"
    with tempfile.TemporaryDirectory(prefix="byoi-setup-") as folder:
        carried = Path(folder, "payload")
        if payload is None:
            _unpack(bundle.build(Path(folder), PLATFORM, root=root, index=index, own=own), carried)
        else:
            shutil.copytree(payload, carried)
        complete(carried)
        _compile(target, carried, version)
    return target


def complete(carried: Path) -> None:
    """Add what only this installer carries to an unpacked bundle."""
    (uv,) = (carried / "wheels").glob("uv-*-win_amd64.whl")
    with zipfile.ZipFile(uv) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("scripts/uv.exe"))
        (carried / "uv.exe").write_bytes(archive.read(name))
    shutil.copyfile(HERE / "place.py", carried / "place.py")
    (carried / "bin").mkdir()
    for name, flags in LAUNCHERS.items():
        _run(
            COMPILER, "-municode", "-Wall", "-Wextra", "-Werror", "-O2", "-s",
            "-Wl,--no-insert-timestamp", *flags, "-o", carried / "bin" / name, HERE / "launcher.c",
        )  # fmt: skip


def quad(version: str) -> str:
    """A version as Windows keeps it: four numbers, what is not a number left out.

    >>> quad("1.2.0rc1")
    '1.2.0.0'
    """
    numbers = [re.match(r"\d+", part) for part in version.split("+", maxsplit=1)[0].split(".")]
    found = [int(each.group()) for each in numbers if each][:4]
    return ".".join(str(min(each, 65535)) for each in (*found, 0, 0, 0, 0)[:4])


def sign(installer: Path, certificate: Path, key: Path, *, timestamp: str | None = None) -> None:
    """Give an installer an Authenticode signature, in place.

    Raises:
        MissingToolError: osslsigncode is missing.
    """
    if shutil.which("osslsigncode") is None:
        raise MissingToolError("there is no osslsigncode here: apt install osslsigncode")
    signed = installer.with_suffix(".signed")
    _run(
        *("osslsigncode", "sign", "-h", "sha256", "-n", "byoi node agent"),
        *("-certs", certificate, "-key", key),
        *(("-ts", timestamp) if timestamp else ()),
        *("-in", installer, "-out", signed),
    )
    signed.replace(installer)


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "data_filter"):  # Debian 12's Python has none; what is unpacked is ours
            opened.extractall(target.parent, filter="data")
        else:
            opened.extractall(target.parent)  # noqa: S202
    (top,) = (each for each in target.parent.iterdir() if each.is_dir())
    top.rename(target)


def _compile(target: Path, carried: Path, version: str) -> None:
    epoch = wheels.source_date_epoch()
    for path in carried.rglob("*"):
        os.utime(path, (epoch, epoch))
    defines = {"VERSION": version, "QUAD": quad(version), "PAYLOAD": carried, "OUT_FILE": target}
    _run(
        *("makensis", "-V2", "-WX", "-NOCD", "-INPUTCHARSET", "UTF8"),
        *(f"-D{name}={value}" for name, value in defines.items()),
        "byoi.nsi",
    )


def _run(*words: str | Path) -> None:
    done = subprocess.run(
        words, cwd=HERE, env=wheels.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words[0]} failed:\n{done.stdout}{done.stderr}")


def main() -> int:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--into", type=Path, default=wheels.ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--root", type=Path, metavar="FILE", help="the index's root.json")
    parser.add_argument("--index", metavar="URL", help="where its nodes update from")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="sign with it")
    parser.add_argument("--key", type=Path, metavar="PEM", help="the certificate's private key")
    parser.add_argument("--timestamp", metavar="URL", help="who signs the time")
    arguments = parser.parse_args()
    if (arguments.certificate is None) != (arguments.key is None):
        parser.error("--certificate and --key belong together")
    try:
        made = build(arguments.into, root=arguments.root, index=arguments.index)
        if arguments.certificate is not None:
            sign(made, arguments.certificate, arguments.key, timestamp=arguments.timestamp)
    except MissingToolError as missing:
        sys.exit(str(missing))
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

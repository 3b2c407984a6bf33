"""A Windows by wine, with a Python 3.12 of its own, and small agents for the setup to install.

No index has CPython for Windows: its DLL and its compiled modules come out of panda3d's wheel,
which carries them unchanged; the standard library is that of a Python 3.12 of this machine.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STORE = Path.home() / ".cache" / "byoi-tests"
SOURCES = HERE / "wine"
COMPILER = "x86_64-w64-mingw32-gcc"
PANDA = "panda3d==1.10.16"
NOT_FOR_WINE = {"_wmi.pyd"}
"""Ends the process: wine's COM lacks what it asks."""

LIBRARIES = {
    *("python312", "VCRUNTIME140", "VCRUNTIME140_1"),
    *("libcrypto-3", "libssl-3", "libffi-8", "sqlite3"),
}
RUN_SECONDS = 900
PROGRAM_FILES = "drive_c/Program Files/byoi"
PROGRAM_DATA = "drive_c/ProgramData/byoi"

for folder in (ROOT / "installers", ROOT / "installers" / "windows"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


class MissingError(Exception):
    """Something that this machine would need; the sentence names it."""


@dataclass(frozen=True)
class Done:
    """How a program ended, and all that it said."""

    code: int
    said: str


class Windows:
    """One prefix of wine. Programs run until they end; `close` ends what they left."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.byoi = prefix / PROGRAM_FILES
        self.data = prefix / PROGRAM_DATA
        self.python = windows_path(prefix, prefix / "drive_c" / "Python312" / "python.exe")

    def run(self, *words: str | Path, **variables: str) -> Done:
        done = subprocess.run(
            ["wine", *map(str, words)],
            env=environment(self.prefix) | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=RUN_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace").replace("\r\n", "\n"))

    def registry(self, key: str, value: str = "") -> str | None:
        """What a value holds; None where it is not there. An empty name asks for the whole key."""
        asked = self.run("reg", "query", key, *(("/v", value) if value else ()))
        if asked.code or not value:
            return None if asked.code else asked.said
        line = next(each for each in asked.said.splitlines() if each.strip().startswith(value))
        return line.strip().removeprefix(value).strip().partition("    ")[2]

    def close(self) -> None:
        subprocess.run(
            ["wineserver", "-k"], env=environment(self.prefix), capture_output=True, check=False
        )


def environment(prefix: Path) -> dict[str, str]:
    """For wine: no talk, no window, its own programs where it has none of Windows'."""
    foreign = ("BYOI_", "UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "DISPLAY", "WAYLAND")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=d;mshtml=d;bcryptprimitives=n",
        "UV_HTTP_RETRIES": "0",
        "UV_COMPILE_BYTECODE": "0",
    }


def windows_path(prefix: Path, path: Path) -> str:
    """How Windows names a file of the prefix, or of this machine."""
    with contextlib.suppress(ValueError):
        return str(PureWindowsPath("C:/") / path.relative_to(prefix / "drive_c"))
    return str(PureWindowsPath(f"Z:{path}"))


def machine(folder: Path) -> Windows:
    """A fresh Windows in a folder; the first of all takes half a minute.

    Raises:
        MissingError: a program is missing, or a Python 3.12 whose library could be used.
    """
    for program, package in (
        ("wine", "wine64"),
        ("makensis", "nsis"),
        (COMPILER, "gcc-mingw-w64-x86-64"),
    ):
        if shutil.which(program) is None:
            raise MissingError(f"needs {program}: apt install {package}")
    kept = _kept("windows-2", _make)
    # Files of the system are shared, since nothing changes them in place; the registry is not.
    linked = subprocess.run(["cp", "-al", kept, folder], capture_output=True, check=False)
    if linked.returncode:  # another file system
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", kept, folder], check=True)
    for file in folder.glob("*.reg"):
        file.unlink()
        shutil.copyfile(kept / file.name, file)
    return Windows(folder)


def _kept(name: str, make) -> Path:
    folder = STORE / name
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = STORE / f"making-{name}"
            shutil.rmtree(making, ignore_errors=True)
            make(making)
            making.rename(folder)
    return folder


def _make(prefix: Path) -> None:
    library = _standard_library()
    subprocess.run(
        ["wineboot", "--init"],
        env=environment(prefix),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    windows = Windows(prefix)
    compile_c(
        prefix / "drive_c/windows/system32/bcryptprimitives.dll", "-shared", libraries=["advapi32"]
    )
    windows.run("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
    # A service has ten seconds to come up, else: few, for a machine that has more to do.
    control = r"HKLM\SYSTEM\CurrentControlSet\Control"
    milliseconds = ("/t", "REG_DWORD", "/d", "600000")
    windows.run("reg", "add", control, "/v", "ServicesPipeTimeout", *milliseconds, "/f")
    _make_python(prefix / "drive_c" / "Python312", library)
    compile_c(prefix / "drive_c" / "service.exe")
    windows.close()
    subprocess.run(["wineserver", "-w"], env=environment(prefix), check=False)


def _make_python(folder: Path, library: Path) -> None:
    (folder / "DLLs").mkdir(parents=True)
    for file, data in _compiled_parts():
        (folder if file.startswith(("python", "VCRUNTIME")) else folder / "DLLs").joinpath(
            file
        ).write_bytes(data)
    leave_out = (
        "test",
        "site-packages",
        "lib-dynload",
        "config-*",
        "idlelib",
        "tkinter",
        "lib2to3",
    )
    shutil.copytree(
        library, folder / "Lib", ignore=shutil.ignore_patterns(*leave_out, "__pycache__", "*.so")
    )
    (folder / "Lib" / "site-packages").mkdir()
    compile_c(folder / "python.exe", "-municode")
    launchers = folder / "Lib" / "venv" / "scripts" / "nt"
    launchers.mkdir(exist_ok=True)
    compile_c(launchers / "venvlauncher.exe", "-municode")
    for name in ("python.exe", "pythonw.exe"):
        shutil.copyfile(launchers / "venvlauncher.exe", launchers / name)


def _compiled_parts():
    """The DLLs and modules of CPython that the wheel carries for programs made with it."""
    with tempfile.TemporaryDirectory(prefix="byoi-panda-") as folder:
        subprocess.run(
            [
                *(ROOT / ".ci" / "uv", "pip", "install", "--quiet", "--no-deps", "--no-config"),
                *("--target", folder, "--python-platform", "x86_64-pc-windows-msvc"),
                *("--python-version", "3.12", "--only-binary", ":all:", PANDA),
            ],
            check=True,
            capture_output=True,
        )
        for file in Path(folder, "deploy_libs").iterdir():
            is_module = file.suffix == ".pyd" and ".cp312" not in file.name
            is_library = file.suffix == ".dll" and file.stem in LIBRARIES
            if (is_module or is_library) and file.name not in NOT_FOR_WINE:
                yield file.name, file.read_bytes()


def _standard_library() -> Path:
    ask = "import sys, sysconfig as s; print(sys.version_info[:2] == (3, 12), s.get_path('stdlib'))"
    for python in _pythons():
        asked = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        is_right, _, folder = asked.stdout.strip().partition(" ")
        if is_right == "True":
            return Path(folder)
    raise MissingError("needs a Python 3.12, for its standard library: uv python install 3.12")


def _pythons() -> Iterator[Path]:
    """Where a Python 3.12 may be; beside the one that runs this, whatever HOME says."""
    account = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    for versions in (Path(sys.base_prefix).parent, account / ".pyenv" / "versions"):
        yield from sorted(versions.glob("3.12.*/bin/python3"))
    yield from map(Path, filter(None, [shutil.which("python3.12")]))
    found = subprocess.run(
        [ROOT / ".ci" / "uv", "python", "find", "--managed-python", "3.12"],
        capture_output=True,
        text=True,
        check=False,
    )
    yield from map(Path, found.stdout.split())


def compile_c(target: Path, *flags: str, libraries: tuple[str, ...] | list[str] = ()) -> None:
    """Compile the source that is named as the program is."""
    subprocess.run(
        [
            *(COMPILER, "-Wall", "-Wextra", "-Werror", "-O2", "-s", *flags, "-o", target),
            SOURCES / f"{target.stem}.c",
            *(f"-l{each}" for each in libraries),
        ],
        check=True,
    )


def small_release(folder: Path, version: str) -> Path:
    """What a setup carries, with an agent that only says what it is asked: see wine/agent.py."""
    carried = folder / "wheels"
    carried.mkdir(parents=True)
    wheel = _small_wheel(carried, version)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "requirements.txt").write_text(f"byoi-agent=={version} --hash=sha256:{digest}\n")
    (folder / "release.json").write_text(json.dumps({"schema": 1, "version": version}))
    shutil.copyfile(_uv(), carried / _uv().name)
    return folder


def _uv() -> Path:
    import download
    import wheels

    locked = wheels.locked_wheels(platform="windows-x86_64", python="3.12")
    return download.cached(next(each for each in locked if each.filename.startswith("uv-")))


def _small_wheel(folder: Path, version: str) -> Path:
    about = f"byoi_agent-{version}.dist-info"
    files = {
        "byoi_agent/__init__.py": "",
        "byoi_agent/cli/__init__.py": "",
        "byoi_agent/cli/main.py": (SOURCES / "agent.py").read_text(),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: byoi-agent\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\nbyoi = byoi_agent.cli.main:main\n",
    }
    lines = [f"{name},{_record(text)}" for name, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*lines, f"{about}/RECORD,,", ""])
    wheel = folder / f"byoi_agent-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def _record(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return f"sha256={digest},{len(text.encode())}"

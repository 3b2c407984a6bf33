"""Looks into every wheel of a release for what would run by itself or take another's name.

A `.pth` file runs at every start of Python whatever is imported, which is how packages on PyPI
have stolen keys; a top-level name that is not the package's own may stand in for another package.
"""

from __future__ import annotations

import re
import zipfile
from email.parser import Parser
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

EXPECTED = {
    "argon2-cffi": {"argon2"},
    "argon2-cffi-bindings": {"_argon2_cffi_bindings"},
    "attrs": {"attr", "attrs"},
    "backports-tarfile": {"backports"},
    "cffi": {"cffi", "_cffi_backend"},
    "importlib-metadata": {"importlib_metadata"},
    "jaraco-classes": {"jaraco"},
    "jaraco-context": {"jaraco"},
    "jaraco-functools": {"jaraco"},
    "markdown-it-py": {"markdown_it"},
    "nvidia-ml-py": {"pynvml", "example"},  # an example of theirs; no node installs it
    "python-xlib": {"Xlib"},
    "pywin32-ctypes": {"win32ctypes"},
    "pyyaml": {"yaml", "_yaml"},
    "uv": {"uv"},
}
"""Distributions whose import names are others than their own."""

RUNS_BY_ITSELF = re.compile(r"\.(pth|egg-link)$|^(sitecustomize|usercustomize)(\.|/)")


def complaints(wheel: Path) -> list[str]:
    """What is wrong with a wheel; nothing in the good case."""
    name = str(parse_wheel_filename(wheel.name)[0])
    allowed = EXPECTED.get(name, {name.replace("-", "_").replace(".", "_")})
    with zipfile.ZipFile(wheel) as archive:
        paths = [_installed_as(path) for path in archive.namelist()]
    found = [
        f"{wheel.name}: {path} would run at every start of Python"
        for path in paths
        if RUNS_BY_ITSELF.search(path)
    ]
    tops = {path.split("/")[0] for path in paths}
    modules = {top.split(".")[0] for top in tops if not top.endswith((".dist-info", ".data"))}
    strangers = {each for each in modules - allowed if not each.endswith("__mypyc")}
    if strangers:
        found.append(f"{wheel.name}: has {', '.join(sorted(strangers))} at its top")
    return found


def _installed_as(path: str) -> str:
    """Where it lands in site-packages, also from a wheel's data folder."""
    return re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", path)


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (
            each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)
        )
        return Parser().parsestr(archive.read(name).decode(), headersonly=True)

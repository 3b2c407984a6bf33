"""What a machine of each platform can install: the tags and markers that wheels are chosen by.

The oldest systems that are served: glibc 2.28 (RHEL 8, Debian 10 and later), macOS 13, Windows on
x86-64. The machine that builds need not be one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.markers import Environment

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""The interpreters that a released agent runs on."""

GLIBC = (2, 28)
MACOS = (13, 0)


@dataclass(frozen=True)
class Platform:
    """One kind of machine; the marker values are those of PEP 508."""

    name: str
    uv_name: str
    pythons: tuple[str, ...]
    os_name: str
    sys_platform: str
    platform_machine: str
    platform_system: str

    def environment(self, python: str) -> Environment:
        """The values that markers are evaluated with."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.0",
            "os_name": self.os_name,
            "platform_machine": self.platform_machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": self.platform_system,
            "platform_version": "",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": self.sys_platform,
        }

    def tags(self, python: str) -> list[tags.Tag]:
        """What its CPython of that version can load, best first."""
        major, minor = map(int, python.split("."))
        platforms = list(self._platform_tags())
        interpreter = f"cp{major}{minor}"
        return [
            *tags.cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
            *tags.compatible_tags((major, minor), interpreter, platforms),
        ]

    def _platform_tags(self) -> Iterator[str]:
        if self.sys_platform == "win32":
            yield "win_amd64"
        elif self.sys_platform == "darwin":
            yield from tags.mac_platforms(MACOS, self.platform_machine)
        else:
            major, newest = GLIBC
            for minor in range(newest, 16, -1):
                yield f"manylinux_{major}_{minor}_{self.platform_machine}"
            yield f"manylinux2014_{self.platform_machine}"
            for minor in range(16, 4, -1):
                yield f"manylinux_{major}_{minor}_{self.platform_machine}"
            if self.platform_machine == "x86_64":
                yield from ("manylinux2010_x86_64", "manylinux1_x86_64")
            yield f"linux_{self.platform_machine}"


PLATFORMS = {
    each.name: each
    for each in (
        Platform(
            *("linux-x86_64", "x86_64-manylinux_2_28", PYTHONS),
            *("posix", "linux", "x86_64", "Linux"),
        ),
        Platform(
            *("linux-aarch64", "aarch64-manylinux_2_28", PYTHONS),
            *("posix", "linux", "aarch64", "Linux"),
        ),
        Platform(
            *("macos-arm64", "aarch64-apple-darwin", PYTHONS),
            *("posix", "darwin", "arm64", "Darwin"),
        ),
        Platform(
            *("macos-x86_64", "x86_64-apple-darwin", PYTHONS),
            *("posix", "darwin", "x86_64", "Darwin"),
        ),
        # The installer for Windows brings its own Python: one is enough.
        Platform(
            *("windows-x86_64", "x86_64-pc-windows-msvc", ("3.12",)),
            *("nt", "win32", "AMD64", "Windows"),
        ),
    )
}
"""Every platform with a bundle, by the name that the bundle's file has."""

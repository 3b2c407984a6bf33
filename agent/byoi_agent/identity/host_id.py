"""By which sign a console knows a machine again after it was set up anew, and nobody else does."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG: Final = b"byoi-machine-v1\x00"
_LINUX_FILES: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_WINDOWS_KEY: Final = r"SOFTWARE\Microsoft\Cryptography"
_MAC_COMMAND: Final = ("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
_MAC_SECONDS: Final = 5.0
_SHORTEST: Final = 16
"""What is shorter was never set: images ship an empty file, or the word "uninitialized"."""


def host_id() -> str | None:
    """The system's own id of this installation; None where it has none. It never leaves here."""
    match sys.platform:
        case "win32":
            found = _from_windows()
        case "darwin":
            found = _from_mac()
        case _:
            found = _from_files(_LINUX_FILES)
    return found if found is not None and len(found) >= _SHORTEST else None


def sign_of(console_url: str, read: Callable[[], str | None] = host_id) -> str | None:
    """Hex HMAC of the console's origin under the machine's id: another one for every console."""
    if (own := read()) is None:
        return None
    parts = urlsplit(console_url)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    return hmac.digest(own.encode(), _TAG + origin.encode(), hashlib.sha256).hex()


def _from_files(files: tuple[Path, ...]) -> str | None:
    for file in files:
        try:
            return file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
    return None


def _from_windows() -> str | None:
    if sys.platform != "win32":
        return None
    import winreg  # noqa: PLC0415 there is none elsewhere

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _WINDOWS_KEY) as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    except OSError:
        return None


def _from_mac() -> str | None:
    try:
        told = subprocess.run(  # noqa: S603 the system's own program, nothing of a stranger in it
            _MAC_COMMAND, capture_output=True, text=True, timeout=_MAC_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'"IOPlatformUUID" = "([0-9A-Fa-f-]+)"', told)
    return found[1] if found else None

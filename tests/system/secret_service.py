"""A D-Bus session of its own with a real Secret Service, as a desktop has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

NEEDED = ("dbus-run-session", "gnome-keyring-daemon")
STARTING_SECONDS = 30.0
SCRIPT = (
    'printf %s "$DBUS_SESSION_BUS_ADDRESS" > "$1"; shift; '
    'exec gnome-keyring-daemon --components=secrets --foreground "$@"'
)


def need_secret_service() -> None:
    if not all(map(shutil.which, NEEDED)):
        pytest.skip(
            "needs dbus-run-session and gnome-keyring-daemon: apt install dbus-daemon gnome-keyring"
        )


class SecretService:
    """One session; the same folder again finds what was kept. A context manager."""

    def __init__(self, folder: Path, *, is_locked: bool = False) -> None:
        self._address_file = folder / "address"
        self._is_locked = is_locked
        self._process: subprocess.Popen[bytes] | None = None
        self.env = {
            "HOME": str(folder / "home"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }
        for place in self.env.values():
            Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self._address_file.unlink(missing_ok=True)
        unlock = () if self._is_locked else ("--unlock",)
        self._process = subprocess.Popen(
            ("dbus-run-session", "--", "sh", "-c", SCRIPT, "sh", self._address_file, *unlock),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.env},
            start_new_session=True,
        )
        self._process.stdin.write(b"\n")
        self._process.stdin.close()
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, 15)
        self._process.wait(STARTING_SECONDS)

    def _wait(self) -> None:
        until = time.monotonic() + STARTING_SECONDS
        while not self._is_up():
            assert time.monotonic() < until, "no Secret Service came up"
            assert self._process.poll() is None, "the session ended"
            time.sleep(0.05)

    def _is_up(self) -> bool:
        if not self._address_file.exists() or not (address := self._address_file.read_text()):
            return False
        self.env["DBUS_SESSION_BUS_ADDRESS"] = address
        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        with open_dbus_connection(address) as connection:
            ask = new_method_call(bus, "NameHasOwner", "s", ("org.freedesktop.secrets",))
            return connection.send_and_get_reply(ask).body[0]

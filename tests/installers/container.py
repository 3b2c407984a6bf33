"""Runs an image without a container engine: as its user, without rights, its root read-only.

What Docker's `--read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs …` does, by the
kernel's own namespaces. The network is this machine's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

    from image import Image

HERE = Path(__file__).parent
STORE = Path.home() / ".cache" / "byoi-tests"
RUN_SECONDS = 300.0
STOP_SECONDS = 300.0
REMOVE_SECONDS = 60.0


class Container:
    """Sole owner of one container: `start`, then `stop`, then `remove`.

    `binds` are files or folders of this machine by their place inside; each of the image's volumes
    gets a new folder, which is its user's as the image's own is. `tmpfs` are places with a mode.
    """

    def __init__(
        self,
        image: Image,
        environment: Mapping[str, str],
        *,
        binds: Mapping[str, Path] | None = None,
        tmpfs: Mapping[str, str] | None = None,
    ) -> None:
        self._image = image
        self.folder = Path(tempfile.mkdtemp(prefix="container-", dir=STORE))
        self._environment = {**image.environment, **environment}
        self._binds = dict(binds or {})
        self._tmpfs = dict(tmpfs or {})
        self._user, _, self._group = image.user.partition(":")
        for name in ("root", "upper", "work"):
            (self.folder / name).mkdir()
        for number, place in enumerate(image.volumes):
            self._binds[place] = self._volume(number)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def volumes(self) -> tuple[str, ...]:
        """The places that the image keeps apart."""
        return self._image.volumes

    def volume(self, place: str) -> Path:
        """The folder of this machine that is a volume inside."""
        return self._binds[place]

    def start(self, *command: str) -> None:
        """The image's entry point, with its own command or another."""
        mounts: list[str | Path] = [
            word for to, source in self._binds.items() for word in ("bind", source, to)
        ]
        mounts += [word for to, mode in self._tmpfs.items() for word in ("tmpfs", to, mode)]
        with (self.folder / "log").open("wb") as log:
            self._process = self._started(mounts, command, log)

    def _started(
        self, mounts: list[str | Path], command: tuple[str, ...], log: BinaryIO
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
                *("sh", HERE / "container.sh", self._image.lowers, self.folder),
                *(self._user, self._group, "--", *mounts, "--", *self._words()),
                *(self._image.entrypoint or ()),
                *(command or self._image.command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program beside the first one, as `docker exec` does it."""
        inside = ("nsenter", "-t", str(self._first()), "--mount", "--pid", "--ipc", "--uts")
        as_user = (
            *("/usr/bin/setpriv", f"--reuid={self._user}", f"--regid={self._group}"),
            *("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
        )
        return subprocess.run(
            [*inside, "--root", "--wd", *as_user, "/usr/bin/env", "-i", *self._words(), *words],
            capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip

    def is_healthy(self) -> bool:
        """Asks as the image says."""
        return self.run(*self._image.health).returncode == 0

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """The image's signal to the first process; its exit code."""
        self.tell_to_stop()
        return self.wait(seconds)

    def tell_to_stop(self) -> None:
        os.kill(self._first(), signal.Signals[self._image.stop_signal])

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Until its first process has ended by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stray_files(self) -> list[str]:
        """What was written beside the volumes, but for the places that mounts needed."""
        begun = (self.folder / "ready").stat().st_mtime
        found = (self.folder / "upper").rglob("*")
        return [str(path) for path in found if path.is_file() and path.lstat().st_mtime > begun]

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            # The first inside, and all others with it: `--kill-child` ends none that has changed
            # its user, as the kernel forgets whose death it was to follow.
            with contextlib.suppress(psutil.NoSuchProcess):  # ended by itself since
                for first in psutil.Process(self._process.pid).children():
                    first.kill()
            self._process.wait()
        deadline = time.monotonic() + REMOVE_SECONDS
        while True:  # what is mounted there goes with the last process
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists() or time.monotonic() > deadline:
                return

    def _first(self) -> int:
        assert self._process is not None
        return psutil.Process(self._process.pid).children()[0].pid

    def _words(self) -> list[str]:
        return [f"{name}={value}" for name, value in self._environment.items()]

    def _volume(self, number: int) -> Path:
        folder = self.folder / f"volume-{number}"
        folder.mkdir(mode=0o700)
        os.chown(folder, int(self._user), int(self._group))
        return folder

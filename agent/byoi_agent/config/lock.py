"""One process per state folder: two would fight for the same identity and the same usage file."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Self

from byoi_agent.config.file_locks import lock
from byoi_agent.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)  # Windows has none: see `files`


class StateInUse(AgentError):
    """Another process runs from this state folder."""

    exit_code = 69


class StateLock:
    """Holds a state folder for this process; the system lets go of it however the process ends."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take it, without waiting.

        Raises:
            StateInUse: somebody has it; the message names the process.
            ConfigError: the file cannot be opened.
            OSError: there is no room for it.
        """
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # room can be made, so trying again may help
                raise
            raise ConfigError(f"{self._file} cannot be opened: {error.strerror}") from error
        if not lock(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StateInUse(
                f"already running as pid {holder}{_command_of(holder)} with the data folder "
                f"{self._file.parent}"
            )
        with suppress(OSError):  # a full disk costs the next one our number, not us the lock
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(self, *_: object) -> None:
        """Let go; the file stays, since taking it away could free a lock that another just took."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _command_of(holder: str) -> str:
    """Which of our commands it is, as far as the system tells: one that waits is soon forgotten."""
    import psutil  # noqa: PLC0415 not for each command

    with suppress(psutil.Error, OSError, ValueError):
        words = psutil.Process(int(holder)).cmdline()
        for program, command in pairwise(words):
            if PurePath(program).stem == "byoi":
                return f" (byoi {command})"
    return ""


def holder_of(file: Path) -> int | None:
    """The process that took a lock last, while it lives; takes nothing, so is in nobody's way."""
    import psutil  # noqa: PLC0415 not for each command

    with suppress(OSError, ValueError):
        pid = int(file.read_text(encoding="ascii"))
        return pid if psutil.pid_exists(pid) else None
    return None

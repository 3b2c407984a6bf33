"""Has Windows' task scheduler run a program every hour, by `schtasks`."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import Final

_PROGRAM: Final = "schtasks.exe"
_CALL_SECONDS: Final = 60.0


def run_every_hour(name: str, command: str) -> None:
    """From now on, by the system's own account, whether anybody is signed in or not.

    Raises:
        OSError: the scheduler does not take it.
    """
    _ask("/Create", "/F", "/TN", name, "/SC", "HOURLY", "/RU", "SYSTEM", "/TR", command)


def run_no_more(name: str) -> None:
    """The way back; nothing where there is no such task."""
    with suppress(OSError):
        _ask("/Delete", "/F", "/TN", name)


def _ask(*words: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 a list of words, no shell
            (_PROGRAM, *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{_PROGRAM} does not answer") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise OSError(said or f"{_PROGRAM} ended with {done.returncode}")

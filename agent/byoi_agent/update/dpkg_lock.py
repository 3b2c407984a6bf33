"""The lock of whoever changes packages: dpkg itself gives up at once where apt is at work."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.update.programs import UpdateFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import IO

FILE: Final = Path("/var/lib/dpkg/lock-frontend")
WAIT_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 1.0
_TOLD: Final = {"DPKG_FRONTEND_LOCKED": "true"}
"""What dpkg reads to know that its caller holds the lock; see dpkg(1)."""


@contextmanager
def held(
    file: Path = FILE,
    *,
    wait_seconds: float = WAIT_SECONDS,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Mapping[str, str]]:
    """Hold it, having waited for others; what dpkg's environment is to say meanwhile.

    Raises:
        UpdateFailed: somebody else held it all the time.
        OSError: there is no dpkg here, or this is not root.
    """
    until = now() + wait_seconds
    with file.open("r+b") as lock:
        while not _take(lock):
            if now() >= until:
                raise UpdateFailed(
                    f"another program has been installing packages for {wait_seconds / 60:g} "
                    "minutes; it is tried again later"
                )
            sleep(_LOOK_SECONDS)
        yield _TOLD


def _take(lock: IO[bytes]) -> bool:
    """A lock of POSIX, which dpkg takes too; it ends as the file is closed."""
    if sys.platform == "win32":
        raise AssertionError
    import fcntl  # noqa: PLC0415 not on Windows

    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True

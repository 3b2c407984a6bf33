"""One serving console per database file: two would each know half of the nodes and the limits."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from byoi_console.errors import ConfigError, StateInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving_from(database_file: Path) -> Iterator[None]:
    """Hold a database file for this process; the system lets go of it however the process ends.

    A lock of its own rather than SQLite's: `byoi-console admin …` may write beside it.

    Raises:
        StateInUse: another console serves from it; the message names the process.
        ConfigError: the lock's file cannot be made.
    """
    file = database_file.with_name(f"{database_file.name}.lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"data_dir: cannot write {file}: {error.strerror}") from error
    try:
        _take(descriptor, database_file)
        yield
    finally:
        # The file stays: taking it away could free a lock that another process just took.
        os.close(descriptor)


def _take(descriptor: int, database_file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise StateInUse(
            f"another console serves from {database_file} already (pid {holder}); "
            "stop that one, or choose another --data-dir"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())

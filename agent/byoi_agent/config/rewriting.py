"""The owner's file changed from outside: what the node then refuses is taken back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from byoi_agent.config.files import rewrite
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def rewriting(file: Path | None) -> Iterator[Path]:
    """The file, for one change and the reload after it; it is as it was where that fails.

    Raises:
        ConfigError: there is no file, or the change was refused; the message says what to do.
    """
    if file is None:
        raise ConfigError("this node has no configuration file; start it with one: byoi run")
    before = file.read_bytes() if file.is_file() else None
    try:
        yield file
    except ConfigError as error:
        _put_back(file, before)
        raise ConfigError(f"nothing is changed: {error}") from error


def _put_back(file: Path, before: bytes | None) -> None:
    now = file.read_bytes() if file.is_file() else None
    if now == before:
        return
    if before is None:
        file.unlink()
    else:
        rewrite(file, before)

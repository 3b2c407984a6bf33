"""A file of settings as editors leave it: its table, or why it cannot be used."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.config.migrations import BothSet, for_newer, understood
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES: Final = 256 * 1024
"""Far beyond any owner's settings: a running node reads the file between two requests."""

BYTE_ORDER_MARK: Final = "\ufeff"
"""What Windows' editors may put first."""

_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A running node would wait at a pipe for whoever writes next."""

_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


class UnfitFile(ConfigError):
    """What is wrong, as it goes on after the file's name; `line` counts from 1, if one is known."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def text_of(file: Path) -> str:
    """What is written there; what was set aside for an older version counts again.

    Raises:
        UnfitFile: it cannot be read, is no text, or is too long.
    """
    try:
        with os.fdopen(os.open(file, _READ), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise UnfitFile("is a pipe, a folder or a device; name a plain file")
            content = opened.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UnfitFile(f"cannot be read: {error.strerror}") from error
    if len(content) > LIMIT_BYTES:
        raise UnfitFile(f"is longer than {LIMIT_BYTES // 1024} KiB, so it is no file of settings")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UnfitFile("is not text in UTF-8; save it as UTF-8") from error
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    return mark + for_newer(text.removeprefix(mark))


def table_of(text: str) -> dict[str, Any]:
    """The settings in such a text, by the names that they have in this version.

    Raises:
        UnfitFile: it is no TOML.
    """
    try:
        return understood(tomllib.loads(text.removeprefix(BYTE_ORDER_MARK)))
    except BothSet as both:
        raise UnfitFile(f"sets one thing twice: {both}; take the former name out") from both
    except RecursionError as error:
        raise UnfitFile("is not valid TOML: too many brackets in one another") from error
    except ValueError as error:  # also of a number beyond all bounds
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at else None
        raise UnfitFile(f"is not valid TOML: {error}", line) from error

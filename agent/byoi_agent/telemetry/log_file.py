"""The log as files of bounded size: what is written to them, and how they are read back."""

from __future__ import annotations

import json
import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import TextIOWrapper
    from pathlib import Path

logger = logging.getLogger(__name__)

FILE_BYTES: Final = 10 * 1024 * 1024
FILES: Final = 5
"""The newest and four older ones, which end in .1 to .4."""

_PRIVATE: Final = 0o600
_NOT_INHERITED: Final = getattr(os, "O_CLOEXEC", 0)  # on Windows that is so anyway


class LogFile(RotatingFileHandler):
    """Writes one line per record; a disk that is full costs lines and nothing else."""

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES) -> None:
        super().__init__(
            path, maxBytes=file_bytes, backupCount=FILES - 1, encoding="utf-8", delay=True
        )
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, if that can be done now."""
        self._faulty = False
        super().emit(record)
        self._has_failed = self._faulty

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own
        """Tell it once on standard error: the other lines there are complete."""
        error = sys.exc_info()[1]
        self._faulty = True
        if not self._has_failed:
            self._has_failed = True
            print(f"byoi: the log file cannot be written: {error}", file=sys.stderr)  # noqa: T201

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOT_INHERITED, _PRIVATE
        )
        return os.fdopen(descriptor, "a", encoding=self.encoding)


def size_of(file: Path) -> int:
    """Bytes in the newest file; none where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def newest(
    file: Path, count: int, wanted: Callable[[str], bool], *, to_bytes: int | None = None
) -> list[str]:
    """The last `count` lines that are wanted, oldest first, from as many files as it takes.

    Of the newest file only the first `to_bytes` are looked at, so that `follow` can go on there.
    """
    found: list[str] = []
    for number in range(FILES):
        place = file if number == 0 else file.with_name(f"{file.name}.{number}")
        try:
            content = place.read_bytes()
        except FileNotFoundError:
            break
        text = content[: to_bytes if number == 0 else None].decode(errors="replace")
        # Not splitlines(): text in a line may hold what Unicode counts as the end of one.
        for line in reversed(text.removesuffix("\n").split("\n") if text else []):
            if len(found) >= count:
                return found[::-1]
            if wanted(line):
                found.append(line)
    return found[::-1]


def follow(file: Path, pause: Callable[[], None], *, from_bytes: int) -> Iterator[str]:
    """Each line from there on, also beyond a rotation; `pause` waits a little, or ends it."""
    reader = _open(file)
    try:
        if reader is not None:
            reader.seek(from_bytes)
        held = b""  # bytes: half a letter is none yet
        while True:
            # Asked first: what was still written to the old file after a last look is then read.
            is_over = _is_other(file, reader)
            *lines, held = (held + (reader.read() if reader is not None else b"")).split(b"\n")
            yield from map(_text, lines)
            if is_over:
                if held:
                    yield _text(held)
                    held = b""
                if reader is not None:
                    reader.close()
                reader = _open(file)
            elif not lines:
                pause()
    finally:
        if reader is not None:
            reader.close()


def level_of(line: str) -> int:
    """How important a line is, in logging's numbers; what is no line of ours is always shown."""
    try:
        name = json.loads(line)["level"].upper()
    except (ValueError, KeyError, TypeError, AttributeError):
        return logging.CRITICAL
    return logging.getLevelNamesMapping().get(name, logging.CRITICAL)


def _text(line: bytes) -> str:
    return line.decode(errors="replace")


def _open(file: Path) -> BinaryIO | None:
    try:
        return file.open("rb")
    except FileNotFoundError:
        return None


def _is_other(file: Path, reader: BinaryIO | None) -> bool:
    """Whether another file has the name now, or the same one was emptied."""
    try:
        now = file.stat()
    except FileNotFoundError:
        return False
    if reader is None:
        return True
    then = os.fstat(reader.fileno())
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or now.st_size < reader.tell()

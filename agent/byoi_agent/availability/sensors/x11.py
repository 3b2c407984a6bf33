"""An X display: time without input by its screen saver, and programs over a whole screen."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from Xlib import error as x_error
from Xlib import xauth
from Xlib.display import Display

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.face import idle_seconds
from byoi_agent.availability.sensors.one_thread import OneThread, Silent
from byoi_agent.availability.sensors.x11_windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable

_CALL_SECONDS: Final = 2.0
_LOOKS_BETWEEN: Final = 4
"""The window in front is looked at each time, those behind it every fourth."""

_LOCAL: Final = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")
_FAILURES: Final = (
    OSError,
    AttributeError,  # of a connection that is closed while it is used
    x_error.DisplayError,
    x_error.ConnectionClosedError,
    x_error.XError,
    x_error.XauthError,
)

# It would write to standard output, where a program waits for JSON.
xauth.print = lambda *_: None  # type: ignore[attr-defined]


class Look(NamedTuple):
    """What a display tells; `idle_seconds` is None where it does not see all input."""

    idle_seconds: float | None
    fullscreen: str | None


class Screen:
    """Sole owner of the connection to one display; made when needed and again after it was lost.

    All but `interrupt` belongs into one thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._display: Display | None = None
        self._windows: Windows | None = None
        self._sees_all_input = False
        self._looks = 0

    def look(self) -> Look:
        """What it tells now.

        Raises:
            OSError: there is no such display, it has gone, or it lacks the extension.
        """
        try:
            display, windows = self._opened()
            info = display.screen().root.screensaver_query_info()
            idle = idle_seconds(info.idle, per_second=1000) if self._sees_all_input else None
            self._looks += 1
            return Look(idle, windows.fullscreen(is_thorough=self._looks % _LOOKS_BETWEEN == 1))
        except _FAILURES as error:
            self.close()
            raise OSError(f"the display {self._name} cannot be asked: {error}") from error

    def interrupt(self) -> None:
        """End a call that hangs; from any thread."""
        if (display := self._display) is not None:
            with suppress(OSError):
                display.display.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        display, self._display = self._display, None
        if display is not None:
            with suppress(*_FAILURES):
                display.display.socket.close()

    def _opened(self) -> tuple[Display, Windows]:
        if self._display is not None and self._windows is not None:
            _drop_events(self._display)
            return self._display, self._windows
        _knock(self._name)
        display = Display(self._name)
        display.set_error_handler(_ignore)
        self._display = display
        names = display.list_extensions()
        if "MIT-SCREEN-SAVER" not in names:
            raise OSError("it has no MIT-SCREEN-SAVER extension")
        # A guest of a Wayland compositor is shown only the input into its own windows.
        self._sees_all_input = "XWAYLAND" not in names
        self._windows = Windows(display)
        self._looks = 0
        return display, self._windows


class X11Sensor:
    """Asks the display four times a second, in a thread: the first key must be noticed at once."""

    name = "xscreensaver"
    every_seconds = 0.25

    def __init__(self, display: str, user: str, *, is_wayland: bool = False) -> None:
        self.trouble: str | None = None
        self._user = user
        self._is_wayland = is_wayland
        self._screen = Screen(display)
        self._thread = OneThread("X display", self._screen.look, _CALL_SECONDS, self._screen.close)

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nobody is told: the display is asked often enough."""

    async def read(self) -> tuple[SessionReading, ...] | None:
        """This session; None while the display cannot be asked."""
        try:
            look = await self._thread.ask()
        except Silent as silence:
            self._screen.interrupt()
            self.trouble = f"the X display does not answer: {silence}"
            return None
        except OSError as error:
            self.trouble = str(error)
            return None
        self.trouble = None
        idle = None if self._is_wayland else look.idle_seconds
        said = SessionReading(self._user, idle, fullscreen=look.fullscreen, sources=(self.name,))
        return (said,)

    async def close(self) -> None:
        """Let the thread end, and the connection with it."""
        self._screen.interrupt()
        self._thread.close()


def _knock(name: str) -> None:
    """See whether anybody listens: python-xlib leaves its socket open where nobody does."""
    if (local := _LOCAL.fullmatch(name)) is None or not hasattr(socket, "AF_UNIX"):
        return
    path = f"/tmp/.X11-unix/X{local[1]}"  # noqa: S108 where X displays of a machine are
    for address in (path, f"\0{path}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(_CALL_SECONDS)
            with suppress(OSError):
                caller.connect(address)
                return
    raise OSError("nobody listens there")


def _drop_events(display: Display) -> None:
    """Every program is told of another keyboard; python-xlib would keep that for ever."""
    while display.pending_events():
        display.next_event()


def _ignore(*_: object) -> None:
    """A window may close while it is looked at; python-xlib would write of it to standard error."""

"""Which program's window covers a whole screen of an X display, by what window managers agreed on.

Names beginning with `_NET_` are of the Extended Window Manager Hints.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from Xlib import X
from Xlib import error as x_error
from Xlib.ext import randr

from byoi_agent.availability.sensors.face import words
from byoi_agent.hardware.host import process_name

if TYPE_CHECKING:
    from Xlib.display import Display
    from Xlib.xobject.drawable import Window

_MOST_WINDOWS: Final = 32
_MOST_ITEMS: Final = 256
_ON_ALL_DESKTOPS: Final = 0xFFFFFFFF
_UNNAMED: Final = "a program"


class Area(NamedTuple):
    """A rectangle on the display, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Windows:
    """Looks through the windows of a display; sole owner of what the last whole look found."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._root: Window = display.screen().root
        self._behind: str | None = None

    def fullscreen(self, *, is_thorough: bool) -> str | None:
        """The program whose window covers a whole screen; None if there is none.

        Thorough: also those that are not in front, as a film beside one's work.

        Raises:
            XError: of the display itself; a window that closes meanwhile is passed over.
        """
        front = self._front()
        in_front = self._program(front, is_front=True) if front else None
        if is_thorough:
            found = (self._program(one, is_front=False) for one in self._all() if one != front)
            self._behind = next((program for program in found if program), None)
        return in_front or self._behind

    def _front(self) -> int:
        told = self._numbers(self._root, "_NET_ACTIVE_WINDOW")
        if told:
            return told[0]
        # Without a window manager a game still has the keyboard.
        focus = self._display.get_input_focus().focus
        return 0 if isinstance(focus, int) or focus.id == self._root.id else int(focus.id)

    def _all(self) -> list[int]:
        """From the topmost down."""
        return self._numbers(self._root, "_NET_CLIENT_LIST_STACKING")[::-1][:_MOST_WINDOWS]

    def _program(self, window_id: int, *, is_front: bool) -> str | None:
        window: Window = self._display.create_resource_object("window", window_id)
        try:
            covers = self._covers(window, is_front=is_front)
            return self._name(window) if covers else None
        except (x_error.BadWindow, x_error.BadDrawable, x_error.BadMatch):
            return None  # closed while it was looked at

    def _covers(self, window: Window, *, is_front: bool) -> bool:
        states = self._numbers(window, "_NET_WM_STATE")
        if self._atom("_NET_WM_STATE_HIDDEN") in states:
            return False
        if self._atom("_NET_WM_STATE_FULLSCREEN") in states:
            return self._is_here(window) and not self._is_the_desktops(window)
        if not is_front or self._atom("_NET_WM_STATE_MAXIMIZED_VERT") in states:
            return False
        # Games draw a window without a frame and tell nobody.
        return not self._is_the_desktops(window) and self._area(window) in self._screens()

    def _is_here(self, window: Window) -> bool:
        """Whether it is on the desktop that is shown, and not only on another one."""
        on = self._numbers(window, "_NET_WM_DESKTOP")
        shown = self._numbers(self._root, "_NET_CURRENT_DESKTOP")
        is_elsewhere = on and shown and on[0] not in {shown[0], _ON_ALL_DESKTOPS}
        return not is_elsewhere and window.get_attributes().map_state == X.IsViewable

    def _is_the_desktops(self, window: Window) -> bool:
        kinds = self._numbers(window, "_NET_WM_WINDOW_TYPE")
        own = ("_NET_WM_WINDOW_TYPE_DESKTOP", "_NET_WM_WINDOW_TYPE_DOCK")
        return any(self._atom(kind) in kinds for kind in own)

    def _area(self, window: Window) -> Area:
        size = window.get_geometry()
        at = self._root.translate_coords(window.id, 0, 0)
        return Area(at.x, at.y, size.width, size.height)

    def _screens(self) -> set[Area]:
        screen = self._display.screen()
        areas = {Area(0, 0, screen.width_in_pixels, screen.height_in_pixels)}
        if self._display.has_extension("RANDR"):
            monitors = randr.get_monitors(self._root).monitors
            areas |= {
                Area(one.x, one.y, one.width_in_pixels, one.height_in_pixels) for one in monitors
            }
        return areas

    def _name(self, window: Window) -> str:
        pids = self._numbers(window, "_NET_WM_PID")
        is_local = self._text(window, "WM_CLIENT_MACHINE") in {"", socket.gethostname()}
        by_process = process_name(pids[0]) if pids and pids[0] and is_local else None
        by_class = self._text(window, "WM_CLASS").rstrip("\0").rpartition("\0")[2]
        return words(by_process) or words(by_class) or _UNNAMED

    def _numbers(self, window: Window, name: str) -> list[int]:
        told = window.get_property(self._atom(name), X.AnyPropertyType, 0, _MOST_ITEMS)
        return [] if told is None or told.format != 32 else [int(one) for one in told.value]  # noqa: PLR2004 bits

    def _text(self, window: Window, name: str) -> str:
        told = window.get_property(self._atom(name), X.AnyPropertyType, 0, _MOST_ITEMS)
        if told is None or not isinstance(told.value, bytes):
            return ""
        return told.value.decode(errors="replace")

    def _atom(self, name: str) -> int:
        return self._display.get_atom(name)

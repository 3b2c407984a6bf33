"""The calls into Windows that the sensors need; each answers plain numbers."""

from __future__ import annotations

import ctypes
import sys
from typing import NamedTuple, Protocol


class Win32(Protocol):
    """What is asked of the system; None for a call that failed."""

    def ticks(self) -> int:
        """Milliseconds since the start of the system, as 32 bits: zero again after 49.7 days."""
        ...

    def last_input_ticks(self) -> int | None:
        """The same at the last key or movement of this session."""
        ...

    def notification_state(self) -> int | None:
        """`QUERY_USER_NOTIFICATION_STATE`."""
        ...

    def front_process(self) -> int | None:
        """The process of the window in front."""
        ...

    def line_status(self) -> int | None:
        """`ACLineStatus`: 0 without, 1 with mains, 255 unknown."""
        ...


class _LastInput(ctypes.Structure):
    """`LASTINPUTINFO`."""

    _fields_ = [("size", ctypes.c_uint32), ("ticks", ctypes.c_uint32)]


class _PowerStatus(ctypes.Structure):
    """`SYSTEM_POWER_STATUS`."""

    _fields_ = [
        ("line_status", ctypes.c_uint8),
        ("battery_flag", ctypes.c_uint8),
        ("battery_percent", ctypes.c_uint8),
        ("status_flag", ctypes.c_uint8),
        ("battery_seconds", ctypes.c_uint32),
        ("battery_full_seconds", ctypes.c_uint32),
    ]


class Sizes(NamedTuple):
    """What Windows' headers say that the structures take, for the test."""

    last_input: int = ctypes.sizeof(_LastInput)
    power_status: int = ctypes.sizeof(_PowerStatus)


if sys.platform == "win32":

    class SystemCalls:
        """The machine's own."""

        def __init__(self) -> None:
            self._user = ctypes.WinDLL("user32")
            self._kernel = ctypes.WinDLL("kernel32")
            self._shell = ctypes.WinDLL("shell32")
            self._kernel.GetTickCount.restype = ctypes.c_uint32
            self._user.GetForegroundWindow.restype = ctypes.c_void_p

        def ticks(self) -> int:
            """Milliseconds since the start of the system."""
            return int(self._kernel.GetTickCount())

        def last_input_ticks(self) -> int | None:
            """The same at the last input."""
            told = _LastInput(ctypes.sizeof(_LastInput), 0)
            return int(told.ticks) if self._user.GetLastInputInfo(ctypes.byref(told)) else None

        def notification_state(self) -> int | None:
            """`SHQueryUserNotificationState`, which answers 0 where it worked."""
            state = ctypes.c_int(0)
            failed = self._shell.SHQueryUserNotificationState(ctypes.byref(state))
            return None if failed else int(state.value)

        def front_process(self) -> int | None:
            """The process of the window in front."""
            window = self._user.GetForegroundWindow()
            pid = ctypes.c_uint32(0)
            if window:
                self._user.GetWindowThreadProcessId(ctypes.c_void_p(window), ctypes.byref(pid))
            return int(pid.value) or None

        def line_status(self) -> int | None:
            """`GetSystemPowerStatus`."""
            told = _PowerStatus()
            worked = self._kernel.GetSystemPowerStatus(ctypes.byref(told))
            return int(told.line_status) if worked else None

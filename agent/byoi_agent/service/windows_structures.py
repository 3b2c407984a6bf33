"""What Windows' service manager is told of the service, in the layouts of winsvc.h."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "byoi"
DISPLAY_NAME: Final = "byoi node"
ACCOUNT: Final = rf"NT SERVICE\{NAME}"
"""A virtual account: no password, no rights but its own, and it goes with the service."""

DESCRIPTION: Final = "Serves this machine's models to the console that it is enrolled with."
PRIVILEGES: Final = ("SeChangeNotifyPrivilege",)
"""All that is left to it: to walk through folders that it may not list."""

RESTART_SECONDS: Final = (2, 10, 60)
FORGOTTEN_AFTER_SECONDS: Final = 86_400
"""A day without a failure, and the next one is the first again."""

PRESHUTDOWN_SECONDS: Final = 120
"""How long Windows waits for running requests when it shuts down; the node asks for less."""

DELAYED_START: Final = 3
DESCRIBED: Final = 1
FAILURE_ACTIONS: Final = 2
FAILURE_FLAG: Final = 4
SID_TYPE: Final = 5
REQUIRED_PRIVILEGES: Final = 6
PRESHUTDOWN: Final = 7

_OPTIONAL: Final = {DELAYED_START, FAILURE_FLAG, SID_TYPE, REQUIRED_PRIVILEGES, PRESHUTDOWN}
_INVALID_LEVEL: Final = 124
_RESTART: Final = 1  # SC_ACTION_RESTART
_UNRESTRICTED: Final = 1  # SERVICE_SID_TYPE_UNRESTRICTED


class Description(ctypes.Structure):
    """`SERVICE_DESCRIPTIONW`."""

    _fields_ = [("text", ctypes.c_wchar_p)]


class Number(ctypes.Structure):
    """`SERVICE_SID_INFO`, and those of the delayed start, the failure flag, the preshutdown."""

    _fields_ = [("value", ctypes.c_uint32)]


class Action(ctypes.Structure):
    """`SC_ACTION`."""

    _fields_ = [("kind", ctypes.c_int), ("delay_milliseconds", ctypes.c_uint32)]


class FailureActions(ctypes.Structure):
    """`SERVICE_FAILURE_ACTIONSW`."""

    _fields_ = [
        ("reset_seconds", ctypes.c_uint32),
        ("message", ctypes.c_wchar_p),
        ("command", ctypes.c_wchar_p),
        ("count", ctypes.c_uint32),
        ("actions", ctypes.POINTER(Action)),
    ]


class Privileges(ctypes.Structure):
    """`SERVICE_REQUIRED_PRIVILEGES_INFOW`: names with a zero after each, and one more."""

    _fields_ = [("names", ctypes.c_void_p)]


class Status(ctypes.Structure):
    """`SERVICE_STATUS`."""

    _fields_ = [
        (name, ctypes.c_uint32)
        for name in (
            *("kind", "state", "accepted", "exit_code", "own_exit_code"),
            *("checkpoint", "wait_hint_milliseconds"),
        )
    ]


class ProcessStatus(ctypes.Structure):
    """`SERVICE_STATUS_PROCESS`."""

    _fields_ = [*Status._fields_, ("pid", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


class Sizes(NamedTuple):
    """What Windows' headers say that the structures take, for the test."""

    failure_actions: int = ctypes.sizeof(FailureActions)
    status: int = ctypes.sizeof(Status)
    process_status: int = ctypes.sizeof(ProcessStatus)


class Facts:
    """Each level of `ChangeServiceConfig2` with what is told at it; owner of the memory behind."""

    def __init__(self) -> None:
        self._names = ctypes.create_unicode_buffer("\0".join(PRIVILEGES) + "\0")
        restarts = [Action(_RESTART, 1000 * seconds) for seconds in RESTART_SECONDS]
        self._actions = (Action * len(restarts))(*restarts)
        self.by_level: dict[int, ctypes.Structure] = {
            DESCRIBED: Description(DESCRIPTION),
            DELAYED_START: Number(1),
            SID_TYPE: Number(_UNRESTRICTED),
            REQUIRED_PRIVILEGES: Privileges(ctypes.addressof(self._names)),
            # Also where it ends with a code of its own, and not only where it is gone without one.
            FAILURE_FLAG: Number(1),
            FAILURE_ACTIONS: FailureActions(
                FORGOTTEN_AFTER_SECONDS, None, None, len(restarts), self._actions
            ),
            PRESHUTDOWN: Number(1000 * PRESHUTDOWN_SECONDS),
        }

    def tell(self, change: Callable[[int, ctypes.Structure], int]) -> None:
        """Tell all; `change` answers with an error of Windows, or 0.

        Every Windows that has accounts of services knows every level. Wine knows some.

        Raises:
            OSError: one was refused.
        """
        for level, told in self.by_level.items():
            error = change(level, told)
            if error and (error != _INVALID_LEVEL or level not in _OPTIONAL):
                raise OSError(0, f"level {level} of its configuration: error {error}", None, error)

    def privileges(self) -> str:
        """The names as they lie in memory."""
        return "".join(self._names)

"""What systemd (or whoever else speaks sd_notify) is told of this process; silent without one."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

logger = logging.getLogger(__name__)

_MICROSECONDS: Final = 1_000_000
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass
class ServiceManager:
    """Sends datagrams to `address`, if there is one; nothing that goes wrong there is our end.

    `watchdog_seconds` is how long the manager waits for a sign of life; None if for ever.
    """

    address: str | None = None
    watchdog_seconds: float | None = None
    _has_failed: bool = False

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Self:
        """The one that started this process; taken out, so that no child speaks in our name."""
        address, watchdog, pid = (environment.pop(name, "") for name in _VARIABLES)
        is_ours = pid in {"", str(os.getpid())}
        seconds = int(watchdog) / _MICROSECONDS if is_ours and watchdog.isdecimal() else 0.0
        # "vsock:" and the like are for whole machines.
        return cls(address if address[:1] in {"/", "@"} else None, seconds or None)

    def tell(self, *lines: str) -> None:
        """Send these assignments, such as `READY=1`, as one datagram."""
        if self.address is None or not hasattr(socket, "AF_UNIX"):
            return
        # An abstract name begins with a zero byte, which variables cannot hold.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if not self._has_failed:  # it may be restarting; once is enough to know
                logger.warning("service manager not told", extra={"reason": str(error)})
            self._has_failed = True
        else:
            self._has_failed = False


def state_line(text: str) -> str:
    """`STATUS=` for people, on one line."""
    return "STATUS=" + " ".join(text.split())


def extend_line(seconds: float) -> str:
    """More time for what is under way, from now on."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"


def reloading_line(monotonic_seconds: float) -> str:
    """A reload begins; the manager tells ours from others by the time."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(monotonic_seconds * _MICROSECONDS)}"

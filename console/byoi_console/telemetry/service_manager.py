"""A word to systemd, where it started this console as `Type=notify`: ready, reloading, stopping."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_SIGNS_PER_PERIOD: Final = 3
"""Signs of life within each watchdog's period: two may be late before it is rung."""


class ServiceManager:
    """Speaks sd_notify's protocol to the socket in NOTIFY_SOCKET; says nothing without one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract name; other kinds are not sockets of ours.
        self._address = address.replace("@", "\0", 1) if address[:1] in {"/", "@"} else None
        period = environment.get("WATCHDOG_USEC", "")
        self._period_seconds = int(period) / 1e6 if period.isdecimal() else 0.0

    def ready(self, url: str) -> None:
        """Requests are taken."""
        self._send("READY=1", f"STATUS=serves at {url}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(time.monotonic() * 1e6)}")

    def stopping(self, drain_seconds: float) -> None:
        """The end has begun, and may take so long."""
        extension = f"EXTEND_TIMEOUT_USEC={int((drain_seconds + 15) * 1e6)}"
        self._send("STOPPING=1", "STATUS=answers get to end", extension)

    async def run(self) -> None:
        """Until cancelled: show that the loop turns, as often as the watchdog wants to see it."""
        if self._address is None or not self._period_seconds:
            return
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._period_seconds / _SIGNS_PER_PERIOD)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            # Whoever supervises us acts on silence; there is nothing better to do about it here.
            logger.debug("service manager not told", extra={"why": str(error)})

"""Notices that this machine slept or reaches the world another way: old connections are dead.

The default route is read off the source address that the kernel would use for a documentation
address (RFC 5737, RFC 3849): connecting a datagram socket sends nothing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.clock import Clock

CHECK_SECONDS: Final = 2.0
SLEPT_SECONDS: Final = 5.0
_PROBES: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def source_addresses() -> tuple[str | None, ...]:
    """The addresses this machine would speak from, by family; None where there is no route."""
    return tuple(_source_address(family, probe) for family, probe in _PROBES)


def _source_address(family: socket.AddressFamily, probe: str) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((probe, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return None


async def watch(
    clock: Clock,
    changed: Callable[[str], None],
    addresses: Callable[[], tuple[str | None, ...]] = source_addresses,
) -> None:
    """Until cancelled, say in a few words what changed each time something did."""
    known = addresses()
    offset = clock.wall() - clock.monotonic()
    while True:
        await clock.sleep_until(clock.monotonic() + CHECK_SECONDS)
        now = clock.wall() - clock.monotonic()
        if now - offset > SLEPT_SECONDS:
            changed("this machine slept")
        offset = now
        current = addresses()
        if current != known and any(current):
            changed("the default route changed")
        known = current

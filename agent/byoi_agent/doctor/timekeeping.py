"""Whether anything keeps this machine's clock right, for when nobody can be asked what time it is.

The kernel knows whether a time service (chrony, ntpd, systemd-timesyncd, macOS's timed) has set the
clock lately.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import ok, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.doctor.finding import Finding

_NAME: Final = "clock"
_TITLE: Final = "Clock"
_TIMESYNC: Final = Path("/run/systemd/timesync/synchronized")
"""Is there once systemd-timesyncd has set the clock (systemd-timesyncd.service(8))."""

_BYTES_OF_TIMEX: Final = 512
"""`struct timex` has 208 at most (adjtimex(2)), macOS's less."""

_TIME_ERROR: Final = 5
"""Nobody keeps the clock (adjtimex(2); <sys/timex.h> of macOS)."""


def finding(is_kept: bool | None) -> Finding:
    """What is known of the clock where the console cannot be asked for its time."""
    if is_kept is None:
        text = "whether it is right is not known while the console does not answer"
        return skipped(_NAME, _TITLE, text)
    if is_kept:
        return ok(_NAME, _TITLE, "is set by the network; the console cannot be asked for its own")
    return warned(
        _NAME,
        _TITLE,
        "nothing sets it by the network, and the console cannot be asked for its own",
        "sudo timedatectl set-ntp true; in a container or a virtual machine that is its host's",
    )


def is_kept(
    timesync: Path = _TIMESYNC, kernel: Callable[[], int | None] | None = None
) -> bool | None:
    """Whether a time service has set the clock; None where the system does not tell."""
    try:
        if timesync.exists():
            return True
    except OSError:
        pass  # not for this account
    state = (kernel or _state_of_kernel)()
    return None if state is None or state < 0 else state != _TIME_ERROR


if sys.platform == "win32":

    def _state_of_kernel() -> int | None:
        """Windows tells it to a program of its own alone (w32tm)."""
        return None

else:

    def _state_of_kernel() -> int | None:
        """The kernel's word, asked without changing anything; below 0 where a unit may not ask."""
        try:
            ask = ctypes.CDLL(None).ntp_adjtime
        except (OSError, AttributeError):
            return None
        return int(ask(ctypes.create_string_buffer(_BYTES_OF_TIMEX)))

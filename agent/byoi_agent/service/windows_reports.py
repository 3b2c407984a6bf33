"""What Windows' service manager is told next, out of what the node says of itself; pure.

The node speaks as to systemd (`READY=1`, `STOPPING=1`, `EXTEND_TIMEOUT_USEC=…`). Here that becomes
states; whoever is still at it must count on, or is taken for stuck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

STOPPED: Final = 1
START_PENDING: Final = 2
STOP_PENDING: Final = 3
RUNNING: Final = 4

ACCEPT_STOP: Final = 0x1
ACCEPT_PARAMETER_CHANGE: Final = 0x8
ACCEPT_POWER_EVENT: Final = 0x40
ACCEPT_PRESHUTDOWN: Final = 0x100
_ACCEPTED: Final = ACCEPT_STOP | ACCEPT_PARAMETER_CHANGE | ACCEPT_POWER_EVENT | ACCEPT_PRESHUTDOWN

OWN_CODE: Final = 1066
"""`ERROR_SERVICE_SPECIFIC_ERROR`: the code is the program's own."""

START_SECONDS: Final = 60.0
_MICROSECONDS: Final = 1_000_000
_STEP: Final = "EXTEND_TIMEOUT_USEC="

Order = Literal["stop", "reload", "woke"]
_STOP: Final = frozenset({0x1, 0x5, 0xF})
"""`SERVICE_CONTROL_STOP`, `…_SHUTDOWN`, `…_PRESHUTDOWN`."""
_PARAMETERS_CHANGED: Final = 0x6
_POWER_EVENT: Final = 0xD
_WOKE: Final = frozenset({0x7, 0x12})
"""`PBT_APMRESUMESUSPEND`, `PBT_APMRESUMEAUTOMATIC`."""


@dataclass(frozen=True)
class Report:
    """`SERVICE_STATUS`, as far as it says something."""

    state: int = START_PENDING
    accepted: int = 0
    code: int = 0
    checkpoint: int = 1
    wait_seconds: float = START_SECONDS


def after(report: Report, lines: Iterable[str]) -> Report:
    """The next report, the same where these lines are no news to the service manager."""
    for line in lines:
        report = _after(report, line)
    return report


def stopped(code: int) -> Report:
    """The last one; anything but 0 counts as a failure, upon which it is started again."""
    return Report(STOPPED, 0, code, 0, 0.0)


def order_of(control: int, event: int) -> Order | None:
    """What a control asks of the node; None for what only wants to hear the last report."""
    if control in _STOP:
        return "stop"
    if control == _PARAMETERS_CHANGED:
        return "reload"
    return "woke" if control == _POWER_EVENT and event in _WOKE else None


def _after(report: Report, line: str) -> Report:
    if line == "READY=1" and report.state == START_PENDING:
        return Report(RUNNING, _ACCEPTED, checkpoint=0, wait_seconds=0.0)
    if line == "STOPPING=1" and report.state != STOPPED:
        return Report(STOP_PENDING)
    if line.startswith(_STEP) and report.state in {START_PENDING, STOP_PENDING}:
        seconds = int(line.removeprefix(_STEP)) / _MICROSECONDS
        return replace(report, checkpoint=report.checkpoint + 1, wait_seconds=seconds)
    return report

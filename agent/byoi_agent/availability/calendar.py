"""What the owner's schedule says at a moment, and when that changes next: pure.

The windows and the quiet hours are of the owner's clock (`config/windows.py` has their
arithmetic); forecasts add their verdicts. Which of them counts in which mode is the policy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoi_agent.config.windows import edges, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from byoi_agent.availability.forecast import Verdict
    from byoi_agent.config.windows import Hours


@dataclass(frozen=True)
class CalendarState:
    """What holds now.

    `is_open` for the mode scheduled, `is_quiet` in every mode; `holds_back` are the sentences of
    forecasts that speak against serving. `changes_at` is the next moment, in Unix seconds, at which
    any of it changes by the clock alone; `opening_changes_at` and `quiet_changes_at` when that
    part of it does. None where nothing does.
    """

    is_open: bool = False
    is_quiet: bool = False
    holds_back: tuple[str, ...] = ()
    changes_at: float | None = None
    opening_changes_at: float | None = None
    quiet_changes_at: float | None = None


def look(
    windows: Sequence[Hours],
    quiet: Sequence[Hours],
    verdicts: Sequence[Verdict],
    now: float,
    local: Callable[[float], datetime],
) -> CalendarState:
    """What the schedule says at `now`; `local` tells what the owner's clock shows then.

    With forecasts alone there is no window to wait for. With neither, the mode scheduled never
    serves: nobody has said when.
    """
    opening, calm = next_change(windows, now, local), next_change(quiet, now, local)
    changes = [opening, calm, *(one.changes_at for one in verdicts)]
    return CalendarState(
        is_open=any_holds(windows, local(now)) if windows else bool(verdicts),
        is_quiet=any_holds(quiet, local(now)),
        holds_back=tuple(one.reason for one in verdicts if not one.serves),
        changes_at=min((at for at in changes if at is not None), default=None),
        opening_changes_at=opening,
        quiet_changes_at=calm,
    )


def next_change(
    windows: Sequence[Hours], now: float, local: Callable[[float], datetime]
) -> float | None:
    """When it changes whether one of the windows is open; None where it never does."""
    is_open = any_holds(windows, local(now))
    later = edges(windows, now, local)
    return next((at for at in later if any_holds(windows, local(at)) != is_open), None)


def any_holds(windows: Sequence[Hours], shown: datetime) -> bool:
    """Whether one of the windows is open while the owner's clock shows this."""
    return any(holds(window, shown) for window in windows)

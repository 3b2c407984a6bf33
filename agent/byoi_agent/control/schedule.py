"""The owner's schedule, and what it says now, in the words of the control API; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from byoi_agent.config.availability import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.availability.schedule import ScheduleView


class ForecastStatus(BaseModel):
    """What a forecast says now: `kind` is `carbon` or `price`; `reason` tells it to the owner."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    serves: bool
    reason: str
    value: float | None = None
    changes_at: float | None = None


class ScheduleNow(BaseModel):
    """What holds now: `changes_at`, in Unix seconds, is when it changes by the clock alone.

    `is_open` counts in the mode scheduled, `is_quiet` in every mode. `file` is where the schedule
    is written down.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    is_open: bool
    is_quiet: bool
    holds_back: tuple[str, ...] = ()
    changes_at: float | None = None
    forecasts: tuple[ForecastStatus, ...] = ()
    file: str | None = None


class ScheduleStatus(Schedule):
    """The whole schedule, as in the settings, and what it says now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    now: ScheduleNow


class ScheduleOrder(Schedule):
    """The whole schedule as it is to be; `now` may stand beside it and is not looked at."""

    now: object = None


def schedule_of(view: ScheduleView, file: Path | None) -> ScheduleStatus:
    """The view, field by field."""
    state = view.state
    return ScheduleStatus(
        windows=view.schedule.windows,
        quiet=view.schedule.quiet,
        carbon=view.schedule.carbon,
        price=view.schedule.price,
        now=ScheduleNow(
            is_open=state.is_open,
            is_quiet=state.is_quiet,
            holds_back=state.holds_back,
            changes_at=state.changes_at,
            forecasts=tuple(
                ForecastStatus(
                    kind=one.kind,
                    serves=one.serves,
                    reason=one.reason,
                    value=one.value,
                    changes_at=one.changes_at,
                )
                for one in view.verdicts
            ),
            file=None if file is None else str(file),
        ),
    )

"""What every table of the file has in common, and every table of hours besides."""

from __future__ import annotations

import re
from datetime import time

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from byoi_agent.config.windows import WEEKDAYS, Weekday


class Table(BaseModel):
    """A table of the settings: an unknown name in it is a mistake of its owner's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HoursTable(Table):
    """Hours of the owner's clock; `until` before `since` goes over midnight."""

    days: tuple[Weekday, ...] = Field(
        default=WEEKDAYS, min_length=1, description="the days on which it begins"
    )
    since: time = Field(description="local time, HH:MM")
    until: time = Field(description="local time, HH:MM, not included")

    @field_validator("since", "until", mode="before")
    @classmethod
    def _clock_time(cls, value: object) -> object:
        is_written = isinstance(value, str) and re.fullmatch(r"\d\d:\d\d", value)
        if not is_written and not isinstance(value, time):
            raise ValueError(f'{value!r} is no time of day; it looks like "22:00"')
        return value

    @field_serializer("since", "until", when_used="json")
    def _as_written(self, value: time) -> str:
        return value.isoformat(timespec="auto" if value.second or value.microsecond else "minutes")

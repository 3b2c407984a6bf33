"""What every table of the file has in common, and every table of hours besides."""

from __future__ import annotations

import re
from datetime import time
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from byoi_agent.config.windows import WEEKDAYS, Weekday

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f]")


class Table(BaseModel):
    """A table of the settings: an unknown name in it is a mistake of its owner's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _visible(cls, value: object) -> object:
        return visible(value)


def visible(value: object) -> object:
    """The same value, where its text can be a path, a name or an address.

    Raises:
        ValueError: a control character is in it: no system opens a path that has a NUL.
    """
    for text in value if isinstance(value, list | tuple) else (value,):
        is_text = isinstance(text, str) or hasattr(text, "__fspath__")
        found = _UNSEEN.search(str(text)) if is_text else None
        if found is not None:  # the text itself may be a secret
            raise ValueError(f"it has a character that nobody can see, {found[0]!r}; take it out")
    return value


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

"""The tables of the file that say when the machine serves, and when it is its owner's."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from byoi_agent.config.hours import HoursTable, Table

OnOff = Literal["off", "on"]

ProgramName = Annotated[str, Field(min_length=1, max_length=200)]
"""A program's file name without its folder; `*` and `?` stand for others, case does not matter."""


_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")


class Idle(Table):
    """`[idle]`: what makes the machine the owner's; holds in the modes idle and scheduled."""

    after_minutes: float = Field(
        default=5.0, gt=0, le=1440, description="in the mode idle: no key and no movement so long"
    )
    return_minutes: float = Field(
        default=1.0,
        ge=0,
        le=1440,
        description="how long a program or a state that took the machine must be gone",
    )
    fullscreen: OnOff = Field(default="on", description="a window over a whole screen counts")
    foreign_gpu: OnOff = Field(
        default="on", description="another program's memory on a GPU counts, whatever its name"
    )
    programs: tuple[ProgramName, ...] = Field(
        default=(), max_length=200, description="programs that count as soon as they run"
    )
    ignored_programs: tuple[ProgramName, ...] = Field(
        default=(), max_length=200, description="programs that never count, also not on a GPU"
    )
    battery: OnOff = Field(default="on", description="running on battery counts")
    metered: OnOff = Field(default="on", description="a metered network counts")


class Window(HoursTable):
    """Hours of the owner's clock; `until` before `since` goes over midnight."""


class Feed(Table):
    """A forecast of the grid: serve only while its number is at most the limit."""

    source: str = Field(
        min_length=1, description="file, with its whole path, or URL of the forecast"
    )
    at_most: float = Field(description="largest number at which the node serves")
    refresh_minutes: float = Field(default=15.0, ge=1, le=1440, description="how often it is read")
    unknown: Literal["serve", "wait"] = Field(
        default="serve", description="what holds while there is no number for now"
    )

    @field_validator("source")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if _is_web_address(value) or value.startswith(("/", "~/")) or _DRIVE.match(value):
            return value
        raise ValueError(
            f"{value!r} is neither a URL (https://…) nor a file with its whole path (/…)"
        )


class Schedule(Table):
    """`[schedule]`: the mode scheduled serves in its windows; quiet hours hold in every mode."""

    windows: tuple[Window, ...] = Field(
        default=(), max_length=100, description="when the mode scheduled serves"
    )
    quiet: tuple[Window, ...] = Field(
        default=(), max_length=100, description="when no mode serves, for the fans' sake"
    )
    carbon: Feed | None = Field(default=None, description="grams of CO2 for a kWh, by the hour")
    price: Feed | None = Field(default=None, description="price of a kWh, by the hour")


class Protect(Table):
    """`[protect]`: what spares the machine; holds in every mode."""

    power_limit_watts: float | None = Field(
        default=None, gt=0, le=10_000, description="power limit given to each GPU while it serves"
    )
    temperature_celsius: float | None = Field(
        default=None,
        ge=30,
        le=120,
        description="hottest that a GPU may get; its own limit if unset",
    )
    power_watts: float | None = Field(
        default=None, gt=0, le=1_000_000, description="most that all GPUs together may draw"
    )
    disk_free_gib: float = Field(
        default=1.0, ge=0, le=1_000_000, description="disk that stays free for the owner"
    )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)

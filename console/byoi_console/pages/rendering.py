"""Templates: one environment, which escapes everything, and the filters that pages share."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from byoi_console.clock import wall_ms
from byoi_console.pages.static import static_url
from byoi_wire.fingerprint import spoken

_TEMPLATES: Final = Path(__file__).parent / "templates"
_STEPS: Final = (("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400))
_JUST_NOW_SECONDS: Final = 5
UNKNOWN: Final = "\N{EN DASH}"
_DAYS_TOLD: Final = 60
# Browsers say that they are others, too: the order is what tells them apart.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Mac OS X", "macOS"),
    ("Windows", "Windows"),
    ("Linux", "Linux"),
)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; a name that a page did not give is an error, not an empty place."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        iso=iso,
        utc=utc,
        age=age,
        number=number,
        size=size,
        energy=energy,
        figure=figure,
        seconds=seconds,
        milliseconds=milliseconds,
        spoken=spoken,
        plain_json=plain_json,
        browser=browser,
    )
    made.globals.update(static=static_url)
    return made


def iso(at_ms: int) -> str:
    """A moment for machines: ISO 8601, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def utc(at_ms: int) -> str:
    """A moment for people, to the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def age(at_ms: int, now_ms: int | None = None) -> str:
    """How long it is since then, or until then, in the largest unit that fits."""
    return _span(((wall_ms() if now_ms is None else now_ms) - at_ms) / 1000)


def number(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def size(count_bytes: float | None) -> str:
    """Bytes in the unit that people say."""
    if count_bytes is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count_bytes) < 1024:  # noqa: PLR2004 - what the units mean
            return f"{count_bytes:.0f} {unit}" if unit == "B" else f"{count_bytes:.1f} {unit}"
        count_bytes /= 1024
    return f"{count_bytes:.1f} TiB"


def energy(joules: float | None) -> str:
    """Joules for a request or a few; watt-hours, as on a bill, for more."""
    if joules is None:
        return UNKNOWN
    for unit, unit_joules in (("kWh", 3_600_000), ("Wh", 3600)):
        if joules >= unit_joules:
            return f"{joules / unit_joules:,.1f} {unit}"
    return f"{joules:,.0f} J" if joules >= 10 else f"{joules:.1f} J"  # noqa: PLR2004 two digits


def figure(value: float) -> str:
    """A measured number or a price, with as many places as say something."""
    if value >= 100:  # noqa: PLR2004 three digits
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(length: float) -> str:
    """How long something takes."""
    if length < 90:  # noqa: PLR2004 people count in seconds up to there
        return f"{length:.0f} s" if length >= 10 else f"{length:.1f} s"  # noqa: PLR2004 two digits
    return f"{length / 60:,.0f} min"


def milliseconds(length: float | None) -> str:
    """How long something took."""
    if length is None:
        return UNKNOWN
    return f"{length:.0f} ms" if length < 1000 else f"{length / 1000:,.1f} s"  # noqa: PLR2004 a second


def browser(user_agent: str) -> str:
    """A browser as people call it, out of what it says of itself; else that itself."""
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    name = next((name for sign, name in _BROWSERS if sign in user_agent), "")
    if not name:
        return user_agent
    return f"{name} on {system}" if system else name


def plain_json(value: object) -> str:
    """JSON for between the single quotes of a shell's command."""
    return json.dumps(value, ensure_ascii=False).replace("'", "'\\''")


def _span(seconds: float) -> str:
    is_past, length = seconds >= 0, abs(seconds)
    if length < _JUST_NOW_SECONDS:
        return "just now"
    unit, unit_seconds = next(step for step in reversed(_STEPS) if length >= step[1])
    count = int(length // unit_seconds)
    if unit == "day" and count > _DAYS_TOLD:
        unit, count = "month", count // 30
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if is_past else f"in {words}"

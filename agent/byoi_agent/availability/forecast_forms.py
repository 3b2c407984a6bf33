"""Reads a forecast in any of the forms that the provider's guide names: pure.

Each form names where an entry keeps its time and its number; entries are looked for in all of the
document, since each service wraps them in its own way. The forms are those of the services' own
documentation: api.carbonintensity.org.uk, Electricity Maps, aWATTar, Nord Pool's data portal and
Tibber. What none of them tells is not guessed.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.forecast import LATEST, Forecast, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SLOTS_MOST: Final = 20_000
_DEPTH_MOST: Final = 12
_LONE_SECONDS: Final = 3600.0
"""How long the only number holds that has no end of its own."""

_KILOWATT_HOURS: Final = 1000.0
"""In a MWh, which is what exchanges quote."""


class UnfitForecast(ValueError):
    """It is in none of the forms; the text says what is wrong, for people."""


@dataclass(frozen=True)
class _Form:
    since: str
    until: str | None
    value: Callable[[Mapping[str, object]], object]
    per: float = 1.0
    is_in_milliseconds: bool = False


def _of(name: str, inner: str | None = None) -> Callable[[Mapping[str, object]], object]:
    def value(entry: Mapping[str, object]) -> object:
        found = entry.get(name)
        if inner is None:
            return found
        return found.get(inner) if isinstance(found, dict) else found

    return value


def _only_area(entry: Mapping[str, object]) -> object:
    areas = entry["entryPerArea"]
    if not isinstance(areas, dict) or len(areas) != 1:
        raise UnfitForecast("it has prices of several areas; ask for one area only")
    return next(iter(areas.values()))


_FORMS: Final[Mapping[str, _Form]] = {
    "value": _Form("at", "until", _of("value")),
    "intensity": _Form("from", "to", _of("intensity", "forecast")),
    "carbonIntensity": _Form("datetime", None, _of("carbonIntensity")),
    "marketprice": _Form(
        "start_timestamp", "end_timestamp", _of("marketprice"), _KILOWATT_HOURS, True
    ),
    "entryPerArea": _Form("deliveryStart", "deliveryEnd", _only_area, _KILOWATT_HOURS),
    "total": _Form("startsAt", None, _of("total")),
}
"""By the name that tells an entry's form. aWATTar counts in milliseconds, the others write ISO."""

_OWN_TIMES: Final = {"at": "at", "from": "at", "since": "at", "until": "until", "to": "until"}


def read(text: str) -> Forecast:
    """The forecast in a text, JSON or CSV.

    Raises:
        UnfitForecast: it is in no known form, or tells two numbers for one time.
    """
    if text.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        entries = list(_entries(_parsed(text.lstrip("\ufeff"))))
    else:
        entries = list(_rows(text.lstrip("\ufeff")))
    found = [slot for entry in entries if (slot := _started(entry)) is not None]
    if not found:
        raise UnfitForecast("it has no times and numbers in any form that is known")
    if len(found) > SLOTS_MOST:
        raise UnfitForecast(f"it has more than {SLOTS_MOST} numbers")
    closed = list(_closed(sorted(set(found), key=lambda one: (one[0], one[1] or 0.0))))
    slots = tuple(_showable(closed))
    if closed and not slots:
        raise UnfitForecast("it has no number for any time in the years 1970 to 2999")
    return Forecast(slots)


_Started = tuple[float, float | None, float | None]
"""Since, until, number; an end that is left out is the next one's beginning."""


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnfitForecast("it is no valid JSON") from error


def _entries(value: object, depth: int = 0) -> Iterator[Mapping[str, object]]:
    """Every object of a known form, wherever it is."""
    if depth > _DEPTH_MOST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _entries(item, depth + 1)
    elif isinstance(value, dict):
        own = _own(value) if "value" in value else value
        if _form_of(own) is not None:
            yield own
            return
        for item in value.values():
            yield from _entries(item, depth + 1)


def _own(entry: Mapping[str, object]) -> Mapping[str, object]:
    """Our own form under one name each."""
    return {_OWN_TIMES.get(name, name): value for name, value in entry.items()}


def _form_of(entry: Mapping[str, object]) -> _Form | None:
    forms = (form for name, form in _FORMS.items() if name in entry)
    return next((form for form in forms if form.since in entry), None)


def _rows(text: str) -> Iterator[Mapping[str, object]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = ";" if lines and ";" in lines[0] else ","
    rows = csv.reader(lines, delimiter=separator, strict=True)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        for row in rows:
            yield _own(dict(zip(names, (cell.strip() for cell in row), strict=False)))
    except csv.Error as error:
        raise UnfitForecast(f"it is no valid CSV: {error}") from error


def _started(entry: Mapping[str, object]) -> _Started | None:
    form = _form_of(entry)
    if form is None:
        return None
    until = entry.get(form.until) if form.until else None
    value = _number(form.value(entry))
    moment = _unix_milliseconds if form.is_in_milliseconds else _moment
    return (
        moment(entry[form.since]),
        None if until is None or until == "" else moment(until),
        None if value is None else value / form.per,
    )


def _number(value: object) -> float | None:
    """None for what is told to be unknown."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnfitForecast("it has a number that is none")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise UnfitForecast(f"it has {str(value)[:40]!r} where a number belongs") from error
    if not math.isfinite(number):
        raise UnfitForecast(f"it has {number} where a number belongs")
    return number


def _unix_milliseconds(value: object) -> float:
    number = _number(value)
    if number is None:
        raise UnfitForecast("it has a number without a time")
    return number / 1000


def _moment(value: object) -> float:
    """In Unix seconds; a time without its zone would be another moment in each place."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise UnfitForecast(
            f"it has {str(value)[:40]!r} where a time belongs, such as 2026-11-21T14:00Z"
        ) from error
    if moment.tzinfo is None:
        raise UnfitForecast(
            f"the time {str(value)[:40]!r} does not tell its zone; "
            "write it as 2026-11-21T14:00Z or …+01:00"
        )
    return moment.timestamp()


def _closed(started: list[_Started]) -> Iterator[Slot]:
    """Each with an end: its own, the next one's beginning, or as long as the one before."""
    length = _LONE_SECONDS
    for this, after in zip(started, [*started[1:], None], strict=True):
        since, until, value = this
        end = until if until is not None else (after[0] if after else since + length)
        if end <= since:
            raise UnfitForecast("it tells two numbers for one time, or an end before its beginning")
        if after is not None and after[0] < end:
            raise UnfitForecast("it tells two numbers for one time; ask for one region only")
        length = end - since
        if value is not None:
            yield Slot(since, end, value)


def _showable(slots: list[Slot]) -> Iterator[Slot]:
    """What of them all clocks can show: years 1 and 9999 are written where no end is meant."""
    for one in slots:
        since, until = max(one.since, 0.0), min(one.until, LATEST)
        if since < until:
            yield Slot(since, until, one.value)

"""Energy from one look at the devices to the next: pure; the moments are monotonic seconds.

A device's own counter is taken where it has one. Where it has none, its power is integrated by the
trapezoid rule, which is as good as the looks are dense; so what lies too far apart is not guessed
but told as unmeasured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.hardware.devices import DeviceReading

Method = Literal["counter", "power"]

POWER_GAP_SECONDS: Final = 15.0
"""Longest time between two looks over which power may be integrated."""

COUNTER_GAP_SECONDS: Final = 120.0
"""The same for a counter: it counts by itself, but nobody knows any more who was served."""

_LIMIT_WATTS: Final = 5000.0
"""What no device draws that does not tell its own limit: a counter that runs faster leapt."""

_LIMIT_FACTOR: Final = 3.0
"""Short peaks lie above a device's limit; a counter that shows more than so many times it leapt."""

DeviceKey: TypeAlias = tuple[str, int, str | None]


_UPDATE_SECONDS: Final = 1.0
"""Counters are brought up to date in steps: two close looks may show a step of an earlier time."""


@dataclass(frozen=True)
class Spent:
    """What a device took between two moments; `joules` is None where nothing measured it.

    `is_gone` says that the device has been away for so long that it is not waited for any more.
    """

    device: int
    since: float
    until: float
    joules: float | None
    method: Method | None
    is_gone: bool = False


@dataclass(frozen=True)
class _Point:
    device: int
    at: float
    counter_joules: float | None
    watts: float | None


def tells(device: DeviceReading) -> bool:
    """Whether its energy can be measured at all."""
    return device.energy_joules is not None or device.power_watts is not None


class EnergyMeter:
    """Sole owner of the last look at each device."""

    def __init__(self) -> None:
        self._points: dict[DeviceKey, _Point] = {}

    def read(self, devices: Iterable[DeviceReading], now: float) -> tuple[Spent, ...]:
        """What each device took since it was last seen.

        A device that tells neither energy nor power is left out. One that is lost is so as well,
        until it is back: then all the time between is told, measured or not.
        """
        spent = [self._since_last(device, now) for device in devices if tells(device)]
        return (*(part for part in spent if part is not None), *self._forget(now))

    def _since_last(self, device: DeviceReading, now: float) -> Spent | None:
        key = (device.kind, device.index, device.uuid)
        point = _Point(device.index, now, device.energy_joules, device.power_watts)
        last = self._points.get(key)
        if last is not None and now <= last.at:
            return None  # two looks at one moment
        self._points[key] = point
        if last is None:
            return None
        if (joules := _counted(last, point, _most_watts(device))) is not None:
            return Spent(device.index, last.at, now, joules, "counter")
        joules = _integrated(last, point)
        return Spent(device.index, last.at, now, joules, None if joules is None else "power")

    def _forget(self, now: float) -> list[Spent]:
        gone = [key for key, last in self._points.items() if now - last.at > COUNTER_GAP_SECONDS]
        points = [self._points.pop(key) for key in gone]
        return [Spent(last.device, last.at, now, None, None, is_gone=True) for last in points]


def _most_watts(device: DeviceReading) -> float:
    limit = device.power_limit_watts
    return _LIMIT_FACTOR * limit if limit else _LIMIT_WATTS


def _counted(last: _Point, now: _Point, most_watts: float) -> float | None:
    """By the counter; None where it began anew (driver, wrap), leapt, or was away for too long."""
    if last.counter_joules is None or now.counter_joules is None:
        return None
    seconds, joules = now.at - last.at, now.counter_joules - last.counter_joules
    is_likely = 0 <= joules <= most_watts * (seconds + _UPDATE_SECONDS)
    return joules if is_likely and seconds <= COUNTER_GAP_SECONDS else None


def _integrated(last: _Point, now: _Point) -> float | None:
    if last.watts is None or now.watts is None:
        return None
    seconds = now.at - last.at
    return (last.watts + now.watts) / 2 * seconds if seconds <= POWER_GAP_SECONDS else None

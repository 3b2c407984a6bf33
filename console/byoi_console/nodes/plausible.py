"""What a node says of itself, within reason: nobody's page or routing breaks by what one tells.

Everything is typed already when it comes here; this is about sizes. What cannot be is left out, as
if the node had not said it: a number that no machine has, a text that no page has room for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from byoi_wire.messages import Advertise, Availability, Status
    from byoi_wire.offers import Measured, ModelOffer, Prices

_Told = TypeVar("_Told", bound="BaseModel")

TEXT_LIMIT: Final = 200
MODEL_ID_LIMIT: Final = 256
"""As the ledger keeps it."""

_COUNT_LIMIT: Final = 2**53
_NUMBER_LIMIT: Final = 1e18
"""Achieved operations a second of the largest machines come to this."""

_LOAD_LIMIT_SECONDS: Final = 24 * 3600.0
_PRICE_LIMIT: Final = 1e9
_MOMENT_LIMIT_MS: Final = 253_402_300_799_000
"""The end of the year 9999, beyond which calendars do not go."""

_COLDEST_CELSIUS, _HOTTEST_CELSIUS = -273.15, 1000.0
_POWER_LIMIT_WATTS: Final = 1e7
_READINGS_LIMIT: Final = 1024


def plausible_offer(told: Advertise) -> Advertise:
    """All of it that can be."""
    return told.model_copy(
        update={
            "agent_version": told.agent_version[:TEXT_LIMIT],
            "host": _bounded(told.host),
            "devices": tuple(_bounded(one) for one in told.devices if _is_count(one.index)),
            "models": tuple(_model(one) for one in told.models if _is_name(one.id)),
        }
    )


def plausible_status(told: Status) -> Status:
    """All of it that can be; readings stay at the places of their devices."""
    return told.model_copy(
        update={
            "memory_used_bytes": tuple(
                one if one is not None and _is_count(one) else None
                for one in told.memory_used_bytes[:_READINGS_LIMIT]
            ),
            "temperatures_celsius": _readings(
                told.temperatures_celsius, _COLDEST_CELSIUS, _HOTTEST_CELSIUS
            ),
            "power_watts": _readings(told.power_watts, 0.0, _POWER_LIMIT_WATTS),
        }
    )


def plausible_availability(told: Availability) -> Availability:
    """All of it that can be; a moment that no calendar has is none."""
    until = told.until_ms
    return told.model_copy(
        update={
            "reason": told.reason[:TEXT_LIMIT],
            "code": told.code[:TEXT_LIMIT],
            "mode": told.mode[:TEXT_LIMIT],
            "until_ms": until if until is not None and until <= _MOMENT_LIMIT_MS else None,
        }
    )


def _readings(
    values: tuple[float | None, ...], least: float, most: float
) -> tuple[float | None, ...]:
    return tuple(
        one if one is not None and least <= one <= most else None
        for one in values[:_READINGS_LIMIT]
    )


def _model(offer: ModelOffer) -> ModelOffer:
    """Its own fields and what hangs on it, or nothing of what hangs on it."""
    prices, measured, base = offer.prices, offer.measured, offer.base
    seconds = offer.load_seconds
    return _bounded(offer).model_copy(
        update={
            "id": offer.id,
            "created_at": offer.created_at if _is_count(offer.created_at) else 0,
            "base": base if base is not None and _is_name(base) else None,
            "load_seconds": None if seconds is None else min(seconds, _LOAD_LIMIT_SECONDS),
            "prices": prices if prices is not None and _is_payable(prices) else None,
            "measured": _bounded(measured) if measured is not None and _is_fit(measured) else None,
        }
    )


def _is_payable(prices: Prices) -> bool:
    return max(prices.input, prices.output, prices.cached or 0.0) <= _PRICE_LIMIT


def _is_fit(measured: Measured) -> bool:
    numbers = [value for value in dict(measured).values() if isinstance(value, int | float)]
    is_dated = measured.at_ms <= _MOMENT_LIMIT_MS
    return is_dated and _is_count(measured.knee_concurrency) and max(numbers) <= _NUMBER_LIMIT


def _bounded(told: _Told) -> _Told:
    """Texts cut, and numbers that cannot be left out; for models whose numbers may be None."""
    return told.model_copy(update={name: _within(value) for name, value in told})


def _within(value: object) -> object:
    if isinstance(value, str):
        return value[:TEXT_LIMIT]
    if isinstance(value, int):
        return value if _is_count(value) else None
    if isinstance(value, float):
        return value if abs(value) <= _NUMBER_LIMIT else None
    return value


def _is_count(value: int) -> bool:
    return 0 <= value <= _COUNT_LIMIT


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MODEL_ID_LIMIT and name.isprintable()

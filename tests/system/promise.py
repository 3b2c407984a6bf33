"""What is promised within so many seconds, on a machine that has other things to do as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TRIES = 4


async def kept(seconds: float, trial: Callable[[], Awaitable[float]]) -> float:
    """Try until it takes less than was promised; returns what it took then.

    A machine stands still now and then; a product that breaks a promise breaks it each time. So
    `trial` waits for as long as it takes, and returns the seconds that it measured.
    """
    took: list[float] = []
    while not took or took[-1] >= seconds:
        assert len(took) < TRIES, f"promised within {seconds} s; it took {took}"
        took.append(await trial())
    return took[-1]

"""Asks one sensor again and again: often while it answers, ever more seldom while it does not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.availability.sensors.face import Sensor

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 15.0
"""Every sensor has shorter bounds of its own; this one is for a sensor that is broken."""

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 0.02
"""Between two questions, however often a source says that it has news."""

_Said = TypeVar("_Said")


async def ask_again_and_again(
    sensor: Sensor[_Said], take: Callable[[_Said | None], None], wanted: asyncio.Event
) -> None:
    """Until cancelled, when what the sensor holds is given back; `take` hears every answer.

    While it is not `wanted`, nobody is asked.
    """
    news = asyncio.Event()
    sensor.on_change(news.set)
    pause = FIRST_PAUSE_SECONDS
    was_there: bool | None = None
    try:
        while True:
            news.clear()
            await wanted.wait()
            said = await _answer(sensor)
            _tell_once(sensor, was_there, is_there=said is not None)
            was_there = said is not None
            take(said)
            pause = FIRST_PAUSE_SECONDS if was_there else min(2 * pause, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(_LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(sensor.every_seconds if was_there else pause):
                    await news.wait()
    finally:
        await sensor.close()


async def _answer(sensor: Sensor[_Said]) -> _Said | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await sensor.read()
    except TimeoutError:
        logger.warning("sensor hangs", extra={"sensor": sensor.name})
    except Exception:  # one broken sensor must not hide the others
        logger.exception("sensor failed", extra={"sensor": sensor.name})
    return None


def _tell_once(sensor: Sensor[_Said], was_there: bool | None, *, is_there: bool) -> None:
    if was_there is None or was_there == is_there:
        return  # what is not here from the beginning is no news: few desktops have every source
    if is_there:
        logger.info("sensor answers again", extra={"sensor": sensor.name})
    else:
        logger.info("sensor lost", extra={"sensor": sensor.name, "reason": sensor.trouble})

from __future__ import annotations

import asyncio
import time

from byoi_agent.clock import SystemClock


async def test_a_sleep_never_ends_early_even_if_its_timer_does(monkeypatch):
    clock, naps = SystemClock(), []
    sleep = asyncio.sleep

    async def early(seconds):
        naps.append(seconds)
        await sleep(seconds / 2)

    monkeypatch.setattr(asyncio, "sleep", early)
    at = clock.monotonic() + 0.01
    await clock.sleep_until(at)
    assert clock.monotonic() >= at
    assert len(naps) > 1


async def test_a_time_that_has_passed_is_not_waited_for():
    clock = SystemClock()
    await clock.sleep_until(clock.monotonic() - 1)
    assert abs(clock.wall() - time.time()) < 1

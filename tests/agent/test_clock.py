from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from byoi_agent.clock import SystemClock


async def test_a_sleep_never_ends_early_even_if_its_timer_does(monkeypatch):
    clock, naps, now = SystemClock(), [], [0.0]

    async def early(seconds):
        naps.append(seconds)
        now[0] += seconds / 2 if len(naps) < 3 else seconds

    monkeypatch.setattr("byoi_agent.clock.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(asyncio, "sleep", early)
    await clock.sleep_until(1.0)
    assert (clock.monotonic(), naps) == (1.0, [1.0, 0.5, 0.25])


async def test_a_time_that_has_passed_is_not_waited_for():
    clock = SystemClock()
    await clock.sleep_until(clock.monotonic() - 1)
    before = time.time()
    assert before <= clock.wall() <= time.time()

"""A clock whose time passes as soon as everybody waits for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

import pytest


class LeapingClock:
    """Sole owner of a test's time: it leaps to the next moment that somebody sleeps until."""

    def __init__(self):
        self.now = 1000.0
        self._sleepers = []
        self._numbers = itertools.count()

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now

    async def sleep_until(self, at):
        if at <= self.now:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, next(self._numbers), woken))
        await woken

    async def run(self, work):
        """The outcome of `work`, with time passing while it waits."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work)
            while not task.done():
                for _ in range(10):  # everybody who can go on does
                    await asyncio.sleep(0)
                if not task.done() and self._sleepers:
                    self._leap()
        return task.result()

    def _leap(self):
        at, _, woken = heapq.heappop(self._sleepers)
        if not woken.done():
            self.now = max(self.now, at)
            woken.set_result(None)


@pytest.fixture
def clock():
    return LeapingClock()

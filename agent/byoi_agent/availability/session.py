"""Watches the sessions that can be seen from this process, and hears the helpers of the others."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.asking import ask_again_and_again
from byoi_agent.availability.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.availability.readings import SessionReading
    from byoi_agent.availability.sensors.choice import SessionSensor

_LOOK_SECONDS: Final = 1.0
"""How often silence is looked for."""


class SessionWatch:
    """Sole owner of the sensors of sessions while it runs, each with a task of its own.

    `session` and `gone` hear what is news; also what the helpers in other sessions report.
    """

    def __init__(
        self,
        sensors: Sequence[SessionSensor],
        user: str,
        *,
        session: Callable[[SessionReading], None],
        gone: Callable[[str], None] = lambda _user: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sensors = sensors
        self._now = now
        self._sessions = Sessions(user, session=session, gone=gone)
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def troubles(self) -> dict[str, str]:
        """What cannot be asked here, with why; by sensor."""
        return {one.name: one.trouble for one in self._sensors if one.trouble is not None}

    @property
    def answering(self) -> tuple[str, ...]:
        """Who does tell of sessions, also `helper` for those of people's own."""
        own = [one.name for one in self._sensors if one.trouble is None]
        return (*own, "helper") if self._sessions.helpers else tuple(own)

    def heed(self, *, is_wanted: bool) -> None:
        """Look at sessions, or leave people alone: what was seen of them is forgotten then."""
        if is_wanted:
            self._wanted.set()
        elif self._wanted.is_set():
            self._wanted.clear()
            self._sessions.forget_own(self._now())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for sensor in self._sensors:
                take = partial(self._heard, sensor.name)
                asking = ask_again_and_again(sensor, take, self._wanted)
                tasks.create_task(asking, name=f"sensor {sensor.name}")
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                self._sessions.look(self._now())

    def report(self, helper: str, reading: SessionReading) -> bool:
        """A helper reports of the session that it runs in; False if there are too many."""
        return self._sessions.report(helper, reading, self._now())

    def end(self, helper: str) -> None:
        """A helper says that its session ends."""
        self._sessions.end(helper, self._now())

    def _heard(self, source: str, readings: tuple[SessionReading, ...] | None) -> None:
        if self._wanted.is_set():
            self._sessions.say(source, readings, self._now())

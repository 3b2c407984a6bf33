"""Reports one person's session to the node: at each news of it, and else every two seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.session import SessionWatch
from byoi_agent.availability.sessions import grown
from byoi_agent.control.presence import SessionReport
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.availability.readings import SessionReading
    from byoi_agent.availability.sensors.choice import SessionSensor

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LEAST_SECONDS: Final = 0.2
"""Between two reports: who types makes news several times a second."""


class SessionHelper:
    """Sole owner of what was last seen of this session.

    `send` may block and raises AgentError; it runs in a thread, one call at a time.
    """

    def __init__(
        self,
        sensors: Sequence[SessionSensor],
        user: str,
        session: str,
        send: Callable[[SessionReport], None],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = asyncio.Event()
        self._user = user
        self._session = session
        self._send = send
        self._now = now
        self._watch = SessionWatch(sensors, user, session=self._seen, gone=self._lost, now=now)
        self._last: tuple[SessionReading, float] | None = None
        self._news = asyncio.Event()
        self._trouble: str | None = None

    async def run(self) -> None:
        """Until `stop` is set; then the node is told that the session ends."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch.run(), name="session's sensors")
            reporting = tasks.create_task(self._report(), name="reports to the node")
            await self.stop.wait()
            watching.cancel()
            reporting.cancel()
        with suppress(AgentError):  # it will notice the silence
            await asyncio.to_thread(
                self._send, SessionReport(user=self._user, session=self._session, is_ended=True)
            )

    def _seen(self, reading: SessionReading) -> None:
        if reading.user == self._user:  # macOS' sensor sees everybody at the console
            self._last = reading, self._now()
            self._news.set()

    def _lost(self, user: str) -> None:
        if user == self._user:
            self._last = None

    async def _report(self) -> None:
        pause = BEAT_SECONDS
        while True:
            self._news.clear()
            if self._last is not None:
                is_heard = await self._told(*self._last)
                pause = BEAT_SECONDS if is_heard else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(_LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._waited_for(is_heard=self._trouble is None)

    async def _waited_for(self, *, is_heard: bool) -> None:
        if not is_heard:  # nobody listens: news cannot hurry that
            await asyncio.Event().wait()
        await self._news.wait()

    async def _told(self, reading: SessionReading, at: float) -> bool:
        now = grown(reading, self._now() - at)
        report = SessionReport(
            user=self._user,
            session=self._session,
            idle_seconds=now.idle_seconds,
            is_locked=now.is_locked,
            fullscreen=now.fullscreen,
            sources=now.sources,
        )
        try:
            await asyncio.to_thread(self._send, report)
        except AgentError as error:
            if self._trouble is None:
                logger.warning("node not told of the session", extra={"reason": str(error)})
            self._trouble = str(error)
            return False
        if self._trouble is not None:
            logger.info("node is told of the session again")
        self._trouble = None
        return True

"""Looks at an engine: until it is ready, and from then on whether it still computes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.life import Answered, Doubted, Quiet, Unfit, Unhealthy
from byoi_agent.errors import EngineError, EngineSilent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.clock import Clock
    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.life import Event
    from byoi_agent.engine.view import ServedModel

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 0.1
"""Between looks at an engine that starts."""

WATCH_SECONDS: Final = 5.0
"""Between looks at one that serves."""

QUIET_SECONDS: Final = 0.02
"""Between looks whether the last request has ended."""

SILENCE_SECONDS: Final = 60.0
"""No byte from an engine that has requests for so long: have it compute a token."""


class Watch:
    """Sole owner of what was last heard of the engine; tells the machine's events.

    `inspect` says why an engine that answers must not serve all the same, None where it may.
    """

    def __init__(
        self,
        kind: EngineKind,
        client: EngineClient,
        clock: Clock,
        tell: Callable[[Event], None],
        inspect: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._kind = kind
        self._client = client
        self._clock = clock
        self._tell = tell
        self._inspect = inspect
        self._suspicion = asyncio.Event()
        self._news = asyncio.Event()
        self._models: tuple[ServedModel, ...] = ()
        self._heard_bytes = 0
        self._heard_at = 0.0

    def suspect(self) -> None:
        """Look now, and look hard."""
        self._suspicion.set()

    def glance(self) -> None:
        """Look now at what it serves, also while it has requests."""
        self._news.set()

    async def until_ready(self) -> None:
        """Ask again and again until it answers; whoever set the deadline cancels."""
        while True:
            try:
                self._models = await self._kind.discover(self._client)
            except EngineError as error:
                logger.debug("engine not ready", extra={"cause": str(error)})
            else:
                fault = await self._inspect()
                self._tell(Answered(self._models) if fault is None else Unfit(fault))
                return
            await self._pause(PROBE_SECONDS)

    async def until_quiet(self) -> None:
        """Wait for the last request to end; whoever set the deadline cancels."""
        while self._client.running:
            await self._pause(QUIET_SECONDS)
        self._tell(Quiet())

    async def while_ready(self) -> None:
        """Look at an engine that serves, until it fails.

        While bytes come for somebody it is alive. Without requests a cheap look will do. One that
        has requests and is silent, or is suspected, must compute a token, which may take as long
        as its other work does; a health route would answer for a stuck engine as well. But where
        even that one fails, nothing new goes there while the token is waited for.
        """
        self._suspicion.clear()
        self._note()
        while True:
            is_suspect = await self._until_next_look()
            has_news = self._news.is_set()
            self._news.clear()
            if self._client.received_bytes != self._heard_bytes or not self._client.running:
                self._note()
            is_silent = self._clock.monotonic() - self._heard_at >= SILENCE_SECONDS
            try:
                if is_suspect or has_news or not self._client.running:
                    await self._look(needs_token=is_suspect)
                    self._note()
                elif is_silent:
                    await self._compute()
                    self._note()
            except EngineError as error:
                self._tell(Unhealthy(f"it does not answer any more: {error}"))
                return

    async def _look(self, *, needs_token: bool) -> None:
        try:
            self._models = await self._kind.look(self._client)
        except EngineError as error:
            self._tell(Doubted(f"it gives no sign of health: {error}"))
            # It may have been stopped for some seconds; a token tells a pause from an end.
            needs_token = True
        if needs_token:
            await self._compute()
        self._tell(Answered(self._models))

    async def _compute(self) -> None:
        """Have it compute a token; while it computes for others, that may take its time."""
        heard_bytes = self._client.received_bytes
        try:
            await self._kind.canary(self._client)
        except EngineSilent:
            if self._client.received_bytes == heard_bytes:
                raise

    def _note(self) -> None:
        self._heard_bytes, self._heard_at = self._client.received_bytes, self._clock.monotonic()

    async def _until_next_look(self) -> bool:
        """Wait for the next turn, or for news; True if somebody has seen it fail before."""
        async with asyncio.TaskGroup() as tasks:
            turn = tasks.create_task(self._pause(WATCH_SECONDS), name="turn")
            called = tasks.create_task(self._suspicion.wait(), name="suspicion")
            glance = tasks.create_task(self._news.wait(), name="news")
            await asyncio.wait({turn, called, glance}, return_when=asyncio.FIRST_COMPLETED)
            for each in (turn, called, glance):
                each.cancel()
        is_suspect = self._suspicion.is_set()
        self._suspicion.clear()
        return is_suspect

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.monotonic() + seconds)

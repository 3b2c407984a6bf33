"""Keeps the service manager informed: ready, what it waits for, alive, reloading, stopping."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from byoi_agent.lifecycle.standing import standing
from byoi_agent.telemetry.service_manager import extend_line, reloading_line, state_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from byoi_agent.clock import Clock
    from byoi_agent.node.view import NodeView
    from byoi_agent.telemetry.service_manager import ServiceManager

LOOK_SECONDS: Final = 1.0
"""Least time between two lines about where the node stands: each request changes it."""

EXTENSION_SECONDS: Final = 15.0
"""What is asked for at a time while requests end; asked again long before it is over."""

_IDLE_SECONDS: Final = 5.0


class ServiceNotices:
    """Sole speaker to the service manager.

    Ready means that the node's rooms run, not that it serves: a console that is away for an hour
    is no reason to be killed at the start, and the status line says what is waited for.
    """

    def __init__(self, manager: ServiceManager, view: Callable[[], NodeView], clock: Clock) -> None:
        self._manager = manager
        self._view = view
        self._clock = clock
        self._told = ""
        self._is_stopping = False
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; begins with READY. The sign of life comes from the event loop itself."""
        self._manager.tell("READY=1")
        watchdog = self._manager.watchdog_seconds
        pause = min(_IDLE_SECONDS, watchdog / 2 if watchdog else _IDLE_SECONDS)
        while self._manager.address is not None:
            if watchdog:
                self._manager.tell("WATCHDOG=1")
            if self._is_stopping:
                self._manager.tell(extend_line(EXTENSION_SECONDS))
            self._tell_standing()
            await self._pause(pause)

    def look(self, view: NodeView) -> None:  # noqa: ARG002 - a subscriber's shape
        """The node has changed; cheap, as it is called for each request."""
        self._changed.set()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around a reload, whatever comes of it."""
        self._manager.tell(reloading_line(self._clock.monotonic()))
        try:
            yield
        finally:
            self._manager.tell("READY=1")

    def stopping(self) -> None:
        """The end has begun; as long as requests run, more time is asked for."""
        self._is_stopping = True
        self._manager.tell("STOPPING=1", extend_line(EXTENSION_SECONDS))

    def _tell_standing(self) -> None:
        self._changed.clear()
        if (line := state_line(standing(self._view()))) != self._told:
            self._told = line
            self._manager.tell(line)

    async def _pause(self, seconds: float) -> None:
        """At most so long; shorter when the node has changed, though never without a break."""
        least = min(LOOK_SECONDS, seconds)
        await self._clock.sleep_until(self._clock.monotonic() + least)
        try:
            async with asyncio.timeout(seconds - least):
                await self._changed.wait()
        except TimeoutError:
            return

"""The GPUs' power limit: theirs while the node serves, the former one as soon as it does not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware.power_limit import CALL_SECONDS, LimitOutcome, in_thread

if TYPE_CHECKING:
    from concurrent.futures import Future

    from byoi_agent.hardware.power_limit import Limits
    from byoi_agent.node.view import NodeView
    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

NOT_GIVEN: Final = "power-limit"
LOOK_SECONDS: Final = 60.0
"""How often it is given again: a driver that was loaded anew has forgotten it."""

_NO_COMMAND: Final = "change power_limit_watts in [protect], then: byoi reload"


class PowerKeeper:
    """Sole owner of the wish for a limit; `limits` carries it out in a thread.

    A wish that comes while a driver hangs waits for that call; only the newest one counts.
    """

    def __init__(self, watts: float | None, limits: Limits, health: Health) -> None:
        self._watts = watts
        self._limits = limits
        self._health = health
        self._is_serving = False
        self._given: float | None = None
        self._news = asyncio.Event()

    def take(self, watts: float | None) -> None:
        """The owner wishes another limit."""
        if watts != self._watts:
            self._watts = watts
            self._news.set()

    def look(self, view: NodeView) -> None:
        """See from the board whether the node serves; what still runs is served."""
        load = view.load
        is_serving = view.availability.is_serving or load.running + load.waiting > 0
        if is_serving != self._is_serving:
            self._is_serving = is_serving
            self._news.set()

    async def run(self) -> None:
        """Until cancelled; then the former limits are back, unless the driver hangs."""
        call: Future[LimitOutcome] | None = None
        try:
            while True:
                self._news.clear()
                wish = self._watts if self._is_serving else None
                call = self._begin(wish)
                self._tell(await asyncio.wrap_future(call), wish)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
        finally:
            self._end(call)

    def _begin(self, wish: float | None) -> Future[LimitOutcome]:
        return in_thread(lambda: self._limits.give(wish), "power limit")

    def _end(self, call: Future[LimitOutcome] | None) -> None:
        """Wait for the driver, and no longer than it may take: whoever ends the node waits too."""
        with suppress(TimeoutError):
            if call is not None:
                call.result(CALL_SECONDS)
            self._begin(None).result(CALL_SECONDS)

    def _tell(self, outcome: LimitOutcome, wish: float | None) -> None:
        if wish != self._given and not outcome.problems:
            logger.info("power limit given" if wish else "power limit given back")
        self._given = wish
        if not outcome.problems:
            self._health.clear(NOT_GIVEN)
            return
        what = "cannot be given" if wish else "cannot be taken back"
        mend = "; ".join(outcome.commands) or _NO_COMMAND
        self._health.warn(NOT_GIVEN, f"the power limit {what}: {'; '.join(outcome.problems)}", mend)

"""Asks the engine every few seconds for its own numbers, on connections of its own.

They would count as requests, and their bytes as a sign of life, on the ones that requests use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.engine.client import EngineClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.clock import Clock
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.view import EngineLoad

GAUGE_SECONDS: Final = 5.0


class Gauge:
    """Tells `publish` what was read; None once nothing can be."""

    def __init__(
        self, kind: EngineKind, clock: Clock, publish: Callable[[EngineLoad | None], None]
    ) -> None:
        self._kind = kind
        self._clock = clock
        self._publish = publish

    async def run(self) -> None:
        """Until cancelled, or until the engine turns out to have no numbers that we know."""
        client = EngineClient(self._kind.address)
        has_any = False
        try:
            while True:
                load = await self._kind.load(client)
                self._publish(load)
                has_any = has_any or load is not None
                if not has_any:
                    return
                await self._clock.sleep_until(self._clock.monotonic() + GAUGE_SECONDS)
        finally:
            client.cut()

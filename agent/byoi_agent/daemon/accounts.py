"""What the node counts: tokens and energy, what both are worth, and what the console is told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from byoi_agent.hardware.probers import machine_probe
from byoi_agent.lifecycle.costs import Costs
from byoi_agent.usage.books import Books
from byoi_agent.usage.outbox import Outbox
from byoi_agent.usage.reporter import Reporter
from byoi_agent.usage.sampling import EnergySampler
from byoi_agent.usage.storage import StorageUnavailable
from byoi_agent.usage.tally import Tally, today

if TYPE_CHECKING:
    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.pool import EnginePool
    from byoi_agent.link.keys import NodeKeys
    from byoi_agent.node.board import Board
    from byoi_agent.telemetry.health import Health


class Accounts:
    """Builds the rooms of usage; each keeps what it counts, and the daemon runs them."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        keys: NodeKeys,
        engine: EnginePool,
        board: Board,
        health: Health,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.books = Books(clock, health)
        self.outbox = Outbox(
            paths.outbox_file, sign=keys.sign, clock=clock, health=health, value=self.books.value
        )
        self.energy = EnergySampler(machine_probe(), self.books, self.outbox, clock)
        self.costs = Costs(settings, engine, self.books, self.energy, board)
        self.tally = Tally(self.outbox, clock)
        self.reporter = Reporter(self.outbox, clock)

    async def begin(self) -> None:
        """Go on from what earlier runs have counted today; from zero where the disk refuses."""
        with suppress(StorageUnavailable):  # its own warning tells
            report = await self.outbox.report(today(self._clock.wall()))
            self.tally.begin(report)
            await self.books.begin(self.outbox, report)

"""The node's engines: their pool, what they are expected to take, and what people are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from byoi_agent.daemon.engine_notes import tell_of_engines
from byoi_agent.engine.entries import entries_of
from byoi_agent.engine.gpus import visible_gpus
from byoi_agent.engine.learning import Learning
from byoi_agent.engine.others import Others
from byoi_agent.engine.pool import EnginePool
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.hardware.foreign import counts_processes_alike
from byoi_agent.lifecycle.progress import ProgressLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.view import EngineView
    from byoi_agent.lifecycle.change import Change
    from byoi_agent.node.board import Board
    from byoi_agent.telemetry.health import Health

_OF_THE_POOL: Final = frozenset({"slots", "memory_budget_gib", "idle_unload_minutes"})
"""Settings that the pool takes over while its engines go on."""


class Engines:
    """Builds the pool and what learns from its loads; `changed` follows each change of either.

    `idle` returns when no request runs on the engine of that key.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        board: Board,
        health: Health,
        clock: Clock,
        changed: Callable[[], None],
        idle: Callable[[str], Awaitable[None]],
    ) -> None:
        self._paths = paths
        self._board = board
        self._health = health
        self._clock = clock
        self._changed = changed
        self.learning = Learning(
            paths, clock, lambda: self.pool, lambda accuracy: board.update(estimates=accuracy)
        )
        self.pool = EnginePool(
            entries_of(settings, paths),
            supervise=self._supervise,
            publish=self._publish,
            idle=idle,
            clock=clock,
            budget_gib=settings.memory_budget_gib,
            reckoned=self.learning.expected_bytes,
            places="CUDA_VISIBLE_DEVICES" not in os.environ,
            others=Others().held if counts_processes_alike() else None,
        )
        board.subscribe(lambda view: self.learning.look(view.engines, view.devices))
        board.update(engine=self.pool.view, engines=self.pool.views)

    def entries_after(self, settings: Settings, change: Change) -> tuple[Entry, ...] | None:
        """Those that these settings want; None where the change is none of the engines'.

        Raises:
            ConfigError: they name an engine or a model that there cannot be.
        """
        if not change.needs_engine and _OF_THE_POOL.isdisjoint(change.now):
            return None
        return entries_of(settings, self._paths, self.pool.entries)

    def _publish(self, view: EngineView) -> None:
        self._board.update(engine=view, engines=self.pool.views)
        self._changed()
        tell_of_engines(self._health, self._board, self.pool.entries)

    def _supervise(
        self, entry: Entry, publish: Callable[[EngineView], None], *, starts: bool
    ) -> EngineSupervisor:
        return EngineSupervisor(
            entry.kind,
            publish=publish,
            clock=self._clock,
            records=self._paths.engine_runs_folder,
            report=ProgressLog(),
            starts=starts,
            environment=lambda: visible_gpus(self.pool.gpus_of(entry), self._board.view.devices),
        )

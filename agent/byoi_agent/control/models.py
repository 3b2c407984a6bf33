"""What the owner does with models while the node runs: look, pull, remove, load and serve."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoi_agent.config.edit import serve_model, unserve_model
from byoi_agent.config.rewriting import rewriting
from byoi_agent.control.model_words import ModelStatus, Removed, ServeReport, Unfinished
from byoi_agent.control.routing import Refusal
from byoi_agent.engine.entries import ONLY
from byoi_agent.engine.fitness import check_can_serve, engine_for, engine_of_its_own
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import CATALOGUE, DEFAULT_MODEL
from byoi_agent.models.names import reference_of
from byoi_agent.models.resolve import resolve
from byoi_agent.models.shelf import Row, named_in, rows
from byoi_agent.models.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.control.model_words import PullOrder, ServeOrder
    from byoi_agent.control.routes.engine import EngineOrders
    from byoi_agent.control.schema import ReloadReport
    from byoi_agent.engine.view import EngineView
    from byoi_agent.models.pulls import Pulls, PullView


@dataclass(frozen=True)
class Models:
    """Holds nothing itself: the store, the pulls and the engines own what there is."""

    pulls: Pulls
    engine: EngineOrders
    engines: Callable[[], tuple[EngineView, ...]]
    settings: Callable[[], Settings]
    reload: Callable[[], ReloadReport]
    paths: Paths
    config_file: Path | None

    async def all(self) -> tuple[list[ModelStatus], list[Unfinished]]:
        """What is here and what the catalogue has, and what came of pulls that ended early."""
        found, unfinished = await asyncio.to_thread(self._look)
        states = _states(self.engines(), str(self.settings().model or DEFAULT_MODEL))
        return [_told(row, states) for row in found], unfinished

    def pull(self, order: PullOrder) -> PullView:
        """Begin a pull.

        Raises:
            Refusal: 400: it is no model of a hub.
            ConfigError: too many wait.
        """
        reference = reference_of(order.model)
        if reference is None or (order.file is not None and reference.variant is not None):
            raise Refusal(
                400,
                f"{order.model!r} is no model of a hub; one looks like owner/name, "
                "owner/name:Q4_K_M or owner/name@revision; a file goes with owner/name alone",
            )
        return self.pulls.begin(reference, file=order.file, is_pinned=order.pin)

    async def remove(self, name: str) -> Removed:
        """Take a model from the disk.

        Raises:
            Refusal: 404: it is not here; 409: the settings name it.
            ModelInUse: an engine has it.
        """
        return await asyncio.to_thread(self._remove, name)

    async def load(self, name: str) -> None:
        """Have its engine serve again; raises ConfigError where no engine has it."""
        self.engine.wake(await self._place_of(name))

    async def unload(self, name: str, within_seconds: float) -> None:
        """Have its engine give memory back; raises ConfigError where no engine has it."""
        self.engine.sleep(within_seconds, await self._place_of(name))

    async def serve(self, name: str, order: ServeOrder) -> ServeReport:
        """Have it served, beside the others, from now on and after a restart.

        Raises:
            AgentError: it cannot be; the settings are as they were.
        """
        name, engine = await asyncio.to_thread(self._judge, name, order.engine)
        if (order.priority is not None or order.load is not None) and not self._has_others(name):
            raise ConfigError("priority and load mean something beside other models only")
        choices: dict[str, str | float | None] = order.model_dump(exclude_none=True)
        if engine != self.settings().engine:
            choices["engine"] = engine
        with rewriting(self.config_file) as file:
            serve_model(file, name, choices)
            return ServeReport(model=name, is_served=True, engine=engine, reloaded=self.reload())

    def unserve(self, name: str) -> ServeReport:
        """Have it served no more.

        Raises:
            Refusal: 404: the settings do not name it.
            ConfigError: the file cannot be written; or what is left cannot be served.
        """
        name = named_in(self.settings(), name, self._store)
        with rewriting(self.config_file) as file:
            if not unserve_model(file, name):
                raise Refusal(404, f"{file} does not name {name}; see: byoi config show")
            return ServeReport(model=name, is_served=False, reloaded=self.reload())

    def _look(self) -> tuple[list[Row], list[Unfinished]]:
        store = self._store
        found = rows(store, self.settings(), self.paths.models_folder)
        return found, [Unfinished(model=name, bytes=size) for name, size in store.unfinished()]

    def _remove(self, name: str) -> Removed:
        store, reference = self._store, reference_of(name)
        if any(entry.id == name for entry in CATALOGUE):
            raise Refusal(409, f"{name} is of the catalogue, and comes again when it is served")
        found = store.find_all(name)
        keys = {one.name for one in found}
        if any(row.is_chosen and row.name in keys for row in self._look()[0]):
            raise Refusal(409, f"{name} is served; first: byoi models serve --stop {name}")
        parts = store.remove_unfinished(reference.repo) if reference is not None else 0
        if not found and not parts:
            raise Refusal(404, f"{name} is not here; see: byoi models list")
        for one in found:
            store.remove(one)
        return Removed(
            removed=tuple(f"{one.name}@{one.manifest.commit}" for one in found),
            freed_bytes=sum(one.size_bytes for one in found),
            unfinished=parts,
        )

    def _has_others(self, name: str) -> bool:
        settings = self.settings()
        return bool(settings.models) or settings.model not in {None, name}

    def _judge(self, name: str, engine: str | None) -> tuple[str, str]:
        """What the settings call it, and the engine that is to serve it."""
        settings = self.settings()
        name = named_in(settings, name, self._store)
        found = resolve(name, self._store, settings.remote_code)
        own = engine_of_its_own(settings, name)
        chosen = engine or own or engine_for(found, settings.engine)
        check_can_serve(settings, self.paths, name, chosen)
        return name, chosen

    async def _place_of(self, name: str) -> str:
        """What the engines call the place where a model is; the name itself where none has it."""
        found, _ = await asyncio.to_thread(self._look)
        model = next((row.id for row in found if name in {row.name, row.id}), name)
        for engine in self.engines():
            if model in {engine.key, *(served.id for served in engine.models)}:
                return engine.key or model
        return model

    @property
    def _store(self) -> Store:
        return Store(self.paths.models_folder)


def _states(engines: tuple[EngineView, ...], only: str) -> dict[str, str]:
    """The state of each model's engine, by the model's id.

    `only` is the model of a node that has one engine, which does not tell it while it is not ready.
    """
    states: dict[str, str] = {
        model.id: engine.state for engine in engines for model in engine.models
    }
    states |= {engine.key: engine.state for engine in engines if engine.key}
    for engine in engines:
        if engine.key == ONLY and engine.kind != "attached" and not engine.models:
            states[only] = engine.state
    return states


def _told(row: Row, states: dict[str, str]) -> ModelStatus:
    state = states.get(row.id) or states.get(row.name)
    return ModelStatus(
        name=row.name,
        id=row.id,
        kind=row.kind,
        quantisation=row.quantisation,
        size_bytes=row.size_bytes,
        source=row.source,
        commit=row.commit,
        path=row.path,
        pulled_at=row.pulled_at,
        used_at=row.used_at,
        is_here=row.is_here,
        is_served=row.is_chosen,
        is_loaded=state == "ready",
        is_in_use=row.is_in_use,
        is_pinned=row.is_pinned,
        runs_own_code=row.runs_own_code,
        state=row.state,
        engine_state=state,
        priority=row.priority,
    )

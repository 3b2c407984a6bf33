"""Which engine `byoi bench` measures: the running node's, a server's, or one that it starts."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.bench.kept import Kept
from byoi_agent.bench.target import Target, id_at, own_engine, server_target
from byoi_agent.clock import SystemClock
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.control.instances import find
from byoi_agent.control.schema import MeasuredOrder
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.entries import entries_of
from byoi_agent.engine.kinds.choice import engine_kind
from byoi_agent.engine.kinds.llamacpp import LlamaCpp
from byoi_agent.errors import AgentError, EngineError
from byoi_agent.node.advertise import engine_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.schema import EngineStatus, StatusReport
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.models.wheels import Progress
    from byoi_wire.ids import ModelId
    from byoi_wire.offers import Measured, ModelOffer

_CHAT: Final = "/v1/chat/completions"
_LOOK_SECONDS: Final = 0.2
_WAKE_SECONDS: Final = 3600.0
"""A large model may take minutes to load."""

_RESTING: Final = frozenset({"asleep", "stopped"})
_OWN_FLAGS: Final = ("engine", "context_tokens", "slots")


@dataclass(frozen=True)
class Found:
    """What is measured, where its figures go, and what a reader of them has to know.

    `keep` is None where nobody could make use of them; it raises AgentError as `Kept.keep` does.
    """

    target: Target
    keep: Callable[[Measured], None] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """What the command line says of the target."""

    chosen: Chosen
    flags: dict[str, object]
    model: ModelId | None = None
    url: str | None = None
    clock: SystemClock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def found(self, tell: Callable[[str], None]) -> AsyncIterator[Found]:
        """The target, ready to be asked until this is left.

        Raises:
            AgentError: there is none, it is not ready, or it does not have that model.
            click.UsageError: flags that change an engine were given for one that runs already.
        """
        settings, paths = self.chosen.settings, self.chosen.paths
        if self.url is not None:
            self._refuse_own_flags("what --url names runs already")
            address = EngineAddress.parse(self.url, settings.engine_api_key)
            yield Found(await server_target(address, self.model))
            return
        running = find(paths, os.environ, is_named=self.chosen.is_data_dir_named)
        if running.nodes:
            self._refuse_own_flags("the running node's engine is measured as it is")
            if len(running.nodes) > 1:
                tell("measuring the engine of the demo's first node")
            yield await self._of_node(running.nodes[0].client, tell)
            return
        prepare(paths)
        with StateLock(paths.lock_file):
            async with self._own(tell) as found:
                yield found

    @asynccontextmanager
    async def _own(self, tell: Callable[[str], None]) -> AsyncIterator[Found]:
        paths, kind = self.chosen.paths, self._own_kind()
        tell(f"no node runs here: starting {engine_name(kind.name, kind.version)}")
        kept = Kept(paths.measured_file)
        async with own_engine(
            kind, paths.engine_runs_folder, self.clock, tell=tell, report=_Phases(tell)
        ) as target:
            yield Found(target, lambda measured: kept.keep(target.model, measured))

    def _own_kind(self) -> EngineKind:
        """Of several models in the settings the named one, else the first."""
        settings, paths = self.chosen.settings, self.chosen.paths
        if settings.models:
            for entry in entries_of(settings, paths):
                names = {entry.key, *(offered.id for offered in entry.kind.offers)}
                if self.model is None or self.model in names:
                    return entry.kind
        if self.model is not None:
            settings = settings.model_copy(update={"model": self.model})
        return engine_kind(settings, paths)

    def _refuse_own_flags(self, why: str) -> None:
        given = [name for name in _OWN_FLAGS if self.flags.get(name) is not None]
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise click.UsageError(f"{flags} is for an engine that is started here; {why}")

    async def _of_node(self, node: ControlClient, tell: Callable[[str], None]) -> Found:
        engine, report = await self._ready(node, tell)
        offer = _chosen((await asyncio.to_thread(node.offer)).models, engine, self.model)
        assert engine.url is not None, "an engine that is ready listens somewhere"
        address = EngineAddress.parse(engine.url, self.chosen.settings.engine_api_key)
        target = Target(
            model=offer.id,
            engine_id=await id_at(address, offer.id),
            address=address,
            words=f"the engine of {report.node_id}",
            engine=engine_name(engine.kind, engine.version),
            slots=min(engine.slots, report.slots) or None,
            context_tokens=offer.context_tokens,
            pid=engine.pid,
            is_on_host=engine.kind == LlamaCpp.name,
        )
        return Found(
            target,
            lambda measured: node.keep_measured(MeasuredOrder(model=offer.id, measured=measured)),
            _notes_of(report),
        )

    async def _ready(
        self, node: ControlClient, tell: Callable[[str], None]
    ) -> tuple[EngineStatus, StatusReport]:
        """The model's engine once it serves; one that sleeps, or is not loaded, is had to."""
        deadline = self.clock.monotonic() + _WAKE_SECONDS
        told: str | None = None
        while True:
            report = await asyncio.to_thread(node.status)
            engine = _meant(report, self.model)
            if engine.state == "ready":
                return engine, report
            if engine.state == "failed" or self.clock.monotonic() >= deadline:
                why = f": {engine.reason}" if engine.reason else ""
                raise EngineError(f"the engine is {engine.state}{why}; see: byoi status")
            if engine.state != told and engine.state in _RESTING:
                key = engine.key if len(report.engines) > 1 else None
                await asyncio.to_thread(node.wake, key)
            if engine.state != told:
                tell(f"waiting: the engine is {engine.state}")
                told = engine.state
            await self.clock.sleep_until(self.clock.monotonic() + _LOOK_SECONDS)


def _meant(report: StatusReport, model: ModelId | None) -> EngineStatus:
    """The engine that has the model; one that sleeps may not say which it has.

    Raises:
        AgentError: there is none.
    """
    engines = report.engines or ((report.engine,) if report.engine is not None else ())
    if not engines:
        raise AgentError("the node has no engine yet; look again: byoi status")
    if model is None:
        return next((engine for engine in engines if engine.state == "ready"), engines[0])
    for engine in engines:
        if model == engine.key or model in engine.models:
            return engine
    if len(engines) == 1 and engines[0].state != "ready":
        return engines[0]
    names = ", ".join(name for engine in engines for name in engine.models)
    raise AgentError(f"the node does not serve {model}; it has {names or 'none now'}")


def _notes_of(report: StatusReport) -> tuple[str, ...]:
    notes = ["the node went on serving its guests meanwhile"]
    if under_way := report.running + report.waiting:
        notes.append(
            f"{under_way} requests of guests were under way when it began: the figures are what "
            "was left beside them"
        )
    return tuple(notes)


class _Phases:
    """Long steps before an engine starts: one line for each."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._phase: str | None = None

    def __call__(self, progress: Progress) -> None:
        """How far it is now."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            self._tell(progress.phase)


def _chosen(
    offers: tuple[ModelOffer, ...], engine: EngineStatus, model: ModelId | None
) -> ModelOffer:
    """That engine's named model, else its first that can chat.

    Raises:
        AgentError: there is none; the message says which there are.
    """
    chatting = [offer for offer in offers if _CHAT in offer.routes and offer.id in engine.models]
    wanted = model if model in engine.models else None  # else it was named by its engine's key
    for offer in chatting:
        if wanted in {None, offer.id}:
            return offer
    names = ", ".join(offer.id for offer in chatting) or "none that can chat"
    raise AgentError(f"the node does not serve {model or 'a model that can chat'}; it has {names}")

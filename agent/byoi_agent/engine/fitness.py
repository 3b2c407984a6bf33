"""Which engine serves a model, and whether a start with it would go well on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.config.settings import ENGINES
from byoi_agent.engine.inventory import Inventory
from byoi_agent.engine.kinds.choice import engine_kind, is_managed, is_vllm
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.folders import ModelFolder

if TYPE_CHECKING:
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.models.resolve import Model


def engine_for(model: Model, current: str) -> str:
    """What fits the model's files, given the engine that the settings name."""
    if isinstance(model, ModelEntry):
        return current if is_managed(current) else "llamacpp"
    if isinstance(model, ModelFolder):
        return current if is_vllm(current) else "vllm"
    return "llamacpp"


def engine_of_its_own(settings: Settings, name: str) -> str | None:
    """What the model's `[[models]]` names; None where it has none, or leaves that to `engine`."""
    return next((one.engine for one in settings.models if one.model == name), None)


def check_can_serve(settings: Settings, paths: Paths, name: str, engine: str) -> None:
    """What a start with this model and engine would say, before anything is written.

    Raises:
        ConfigError: this machine cannot, or the engine is none that is given models.
        AgentError: the engine is not installed.
    """
    if not is_managed(engine):
        raise ConfigError(
            f"{engine!r} is no engine that is given models; use {ENGINES[0]} or "
            f"{ENGINES[1]}, or have a server attached: byoi engines use URL"
        )
    tried = settings.model_copy(update={"model": name, "engine": engine, "models": ()})
    engine_kind(tried, paths)
    if is_vllm(engine):
        inventory = Inventory(paths.engines_folder, in_settings=engine)
        if not inventory.is_installed(inventory.offer(engine)):
            raise AgentError(f"{engine} is not installed; first: byoi engines install {engine}")

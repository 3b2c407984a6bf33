"""How many parameters of a model each token uses, where the model's files are on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.engine.kinds.choice import model_of
from byoi_agent.engine.model_facts import facts_at
from byoi_agent.errors import AgentError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.hub import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_wire.ids import ModelId


def active_parameters(settings: Settings, paths: Paths, model: ModelId) -> int | None:
    """By the headers of its files; None where they are not here, or of no kind that we know.

    Of what the settings name, the model counts that is offered under just this name.
    """
    named = (settings.model, *(entry.model for entry in settings.models), model)
    for name in dict.fromkeys(named):
        try:
            file = _place(settings.model_copy(update={"model": name}), paths, model)
            if file is not None:
                return facts_at(file).active_parameters
        except (AgentError, OSError):
            continue  # the figures are worth telling without it
    return None


def _place(settings: Settings, paths: Paths, model: ModelId) -> Path | None:
    found = model_of(settings, paths)
    if found.id != model:
        return None
    if isinstance(found, ModelEntry):
        return ModelStore(paths.models_folder).path_of(found)
    return found.path

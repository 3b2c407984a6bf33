"""What others may know of the engine: frozen copies, published on change by its supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from byoi_wire.ids import ModelId

EngineState = Literal["stopped", "starting", "ready", "draining", "backing_off", "failed"]


@dataclass(frozen=True)
class ServedModel:
    """A model as the node offers it.

    `id` is what clients ask for and `engine_id` what the engine calls it; they differ only where
    the engine could not be told. `created_at` is Unix seconds.
    """

    id: ModelId
    engine_id: str
    routes: tuple[str, ...]
    context_tokens: int | None = None
    created_at: int = 0
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineView:
    """The engine now. `reason` says in the owner's words why it is not ready, where it is not."""

    state: EngineState
    kind: str
    models: tuple[ServedModel, ...] = ()
    slots: int = 0
    pid: int | None = None
    url: str | None = None
    version: str | None = None
    reason: str | None = None
    restarts: int = 0

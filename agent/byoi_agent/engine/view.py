"""What others may know of the engine: frozen copies, published on change by its supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from byoi_wire.ids import ModelId

EngineState = Literal[
    "stopped", "starting", "ready", "suspect", "draining", "asleep", "backing_off", "failed"
]
"""`ready` alone serves. `suspect` has given a first sign of trouble, which is being looked into."""


@dataclass(frozen=True)
class ServedModel:
    """A model as the node offers it.

    `id` is what clients ask for and `engine_id` what the engine calls it; they differ only where
    the engine could not be told. `created_at` is Unix seconds. Where `is_loaded` is false, a
    request waits for about `load_seconds` (None: never measured). `base` is the model that an
    adapter lies over. `slots` is how many requests its engine runs at once when it is loaded; None
    where the node's number holds.
    """

    id: ModelId
    engine_id: str
    routes: tuple[str, ...]
    context_tokens: int | None = None
    created_at: int = 0
    features: tuple[str, ...] = ()
    is_loaded: bool = True
    load_seconds: float | None = None
    base: ModelId | None = None
    slots: int | None = None


@dataclass(frozen=True)
class EngineLoad:
    """What the engine says of its own work; None where it does not say.

    `kv_used` is a share from 0 to 1. The tokens are counted since its start; `held_tokens` are
    those of context that it has memory for, over all requests.
    """

    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    held_tokens: int | None = None


@dataclass(frozen=True)
class EngineView:
    """The engine now. `reason` says in the owner's words why it is not ready, where it is not.

    `faults` has a sentence for each thing of it that does not work while the rest serves.
    `key` names its place in the pool; of two that do not fit together, the one with the higher
    `priority` stays. `memory_bytes` is what it takes when it is loaded, None where that is not ours
    to share out; `used_at` and `since`, when its state became what it is, are Unix seconds.
    `own_seats` are beyond the slots, for requests that it takes before others. It `lends` where it
    is a server of somebody else's that gives memory back when it is asked, and has not been left.
    """

    state: EngineState
    kind: str
    models: tuple[ServedModel, ...] = ()
    slots: int = 0
    pid: int | None = None
    url: str | None = None
    version: str | None = None
    reason: str | None = None
    restarts: int = 0
    load: EngineLoad | None = None
    faults: tuple[str, ...] = ()
    key: str = ""
    priority: int = 50
    memory_bytes: int | None = None
    used_at: float | None = None
    since: float | None = None
    own_seats: int = 0
    lends: bool = False

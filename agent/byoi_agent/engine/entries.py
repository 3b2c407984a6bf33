"""From the owner's settings to the engines that a node has: one, or one for each `[[models]]`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.kinds.choice import engine_kind, is_managed
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.config.tables import AdapterSetting, ModelSetting, Prices
    from byoi_agent.engine.kinds.base import EngineKind

    MakeKind = Callable[[Settings, Paths, tuple[AdapterSetting, ...]], EngineKind]

ONLY: Final = "engine"
"""The key of the one engine of a node that has no `[[models]]`."""

_OVERLAID: Final = ("engine", "context_tokens", "kv_cache_gib", "gpu_memory_share", "slots")
_RECIPE: Final = (
    *("engine", "engine_api_key", "model", "context_tokens", "kv_cache_gib", "gpu_memory_share"),
    *("tensor_parallel", "remote_code"),
)
"""Settings whose change needs another engine; so do more slots, but not fewer of them."""

_MINUTE: Final = 60.0
_GIB: Final = 1024**3


@dataclass(frozen=True)
class Entry:
    """One engine that the owner wants.

    `key` is the model's name, which `edition` counts the engines of; `number` names its socket. One
    that `is_standing` runs as long as the node does, since its memory is not ours to share out.
    `memory_bytes` is the owner's own word on what it takes.
    """

    key: str
    kind: EngineKind
    settings: Settings
    adapters: tuple[AdapterSetting, ...] = ()
    is_standing: bool = False
    number: int = 0
    edition: int = 0
    priority: int = 50
    loads_at_start: bool = False
    idle_unload_seconds: float | None = None
    memory_bytes: int | None = None
    gpus: tuple[int, ...] | None = None
    prices: Prices | None = None

    @property
    def recipe(self) -> tuple[Any, ...]:
        """What another engine would be needed for, were it changed."""
        return _recipe_of(self.settings, self.gpus)


def entries_of(
    settings: Settings,
    paths: Paths,
    before: Sequence[Entry] = (),
    make_kind: MakeKind = engine_kind,
) -> tuple[Entry, ...]:
    """The engines that these settings mean; those of `before` that are still right are kept.

    Raises:
        ConfigError: one of them cannot be, or two have the same name.
        EngineError: the GPU's driver does not answer, so that the choice must wait.
    """
    if not settings.models:
        old = next((one for one in before if one.key == ONLY), None)
        made = Entry(ONLY, make_kind(settings, paths, ()), settings, is_standing=True)
        return (made if old is None else _instead(old, made),)
    entries: list[Entry] = []
    for setting in settings.models:
        entries.append(_entry_of(setting, settings, paths, (*before, *entries), make_kind))
    _refuse_namesakes(entries)
    return tuple(entries)


def _entry_of(
    setting: ModelSetting,
    settings: Settings,
    paths: Paths,
    others: Sequence[Entry],
    make_kind: MakeKind,
) -> Entry:
    overlaid, gpus = _overlaid(setting, settings), setting.gpus
    facts: dict[str, Any] = {
        "settings": overlaid,
        "is_standing": not is_managed(overlaid.engine),
        "priority": setting.priority,
        "loads_at_start": setting.load == "start",
        "idle_unload_seconds": _idle_seconds(setting, settings),
        "memory_bytes": None if setting.memory_gib is None else int(setting.memory_gib * _GIB),
        "gpus": gpus,
        "prices": setting.prices,
    }
    for old in others:
        is_same = old.key != ONLY and old.recipe == _recipe_of(overlaid, gpus)
        if is_same and (old.adapters, old.settings.slots) == (setting.adapters, overlaid.slots):
            return replace(old, **facts)
    number = _free_number(others)
    kind = make_kind(overlaid, replace(paths, engine=f"m{number}"), setting.adapters)
    key = kind.offers[0].id if kind.offers else setting.model
    made = Entry(key, kind, adapters=setting.adapters, number=number, **facts)
    old_one = next((one for one in others if one.key == key), None)
    return made if old_one is None else _instead(old_one, made)


def _recipe_of(settings: Settings, gpus: tuple[int, ...] | None) -> tuple[Any, ...]:
    return (*(getattr(settings, name) for name in _RECIPE), gpus)


def _instead(old: Entry, made: Entry) -> Entry:
    """The old one where it will do, which only the name of its model need not say."""
    is_same = (old.recipe, old.adapters) == (made.recipe, made.adapters)
    if is_same and made.kind.slots <= old.kind.slots:
        return replace(made, kind=old.kind, number=old.number, edition=old.edition)
    return replace(made, edition=old.edition + 1)


def _overlaid(setting: ModelSetting, settings: Settings) -> Settings:
    """The node's settings with what this model says otherwise."""
    said = {name: getattr(setting, name) for name in _OVERLAID}
    gpus = setting.tensor_parallel or len(setting.gpus or ()) or settings.tensor_parallel
    update = {name: value for name, value in said.items() if value is not None}
    return settings.model_copy(
        update={**update, "model": setting.model, "tensor_parallel": gpus, "models": ()}
    )


def _idle_seconds(setting: ModelSetting, settings: Settings) -> float | None:
    minutes = setting.idle_unload_minutes or settings.idle_unload_minutes
    return None if minutes is None else minutes * _MINUTE


def _free_number(others: Iterable[Entry]) -> int:
    taken = {one.number for one in others}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _refuse_namesakes(entries: Iterable[Entry]) -> None:
    """Clients ask by name alone."""
    seen: set[str] = set()
    for entry in entries:
        for name in {entry.key, *(model.id for model in entry.kind.offers)}:
            if name in seen:
                raise ConfigError(
                    f"two [[models]] are called {name}; clients could not tell them apart, so "
                    "keep one, or give its folder or file another name"
                )
            seen.add(name)

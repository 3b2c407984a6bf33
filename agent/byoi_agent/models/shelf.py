"""What `byoi models list` shows: all that was pulled, what the catalogue has, the owner's files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.errors import AgentError
from byoi_agent.models.catalogue import CATALOGUE, ModelEntry
from byoi_agent.models.names import quantisation_of, reference_of
from byoi_agent.models.resolve import GgufModel, resolve

if TYPE_CHECKING:
    from byoi_agent.config.settings import Settings
    from byoi_agent.models.store import Pulled, Store


@dataclass(frozen=True)
class Row:
    """One model. `used_at` is the day (UTC) when it was last loaded; sizes are those on the disk.

    `is_in_use` says that a running node holds it, `is_chosen` that the settings name it. `priority`
    is what they say of it where they name several (`[[models]]`).
    """

    name: str
    id: str
    kind: str
    quantisation: str | None
    size_bytes: int | None
    source: str
    revision: str | None = None
    commit: str | None = None
    path: str | None = None
    pulled_at: int | None = None
    used_at: str | None = None
    is_here: bool = True
    is_in_use: bool = False
    is_chosen: bool = False
    is_pinned: bool = False
    runs_own_code: bool = False
    priority: int | None = None

    @property
    def state(self) -> str:
        """For people."""
        words = {
            "in use": self.is_in_use,
            "chosen": self.is_chosen and not self.is_in_use,
            "pinned": self.is_pinned,
            "runs its own code": self.runs_own_code,
        }
        told = [word for word, holds in words.items() if holds]
        if not self.is_here:
            told.append("comes when it is served")
        return ", ".join(told) or "here"


def rows(store: Store, settings: Settings, models_folder: Path) -> list[Row]:
    """All models, those that were pulled first; last files of the owner's own that are served."""
    own = (_of_path(name, rank, store) for name, rank in _chosen(settings).items())
    return [
        *(_of_store(one, store, settings) for one in store.all()),
        *(_of_catalogue(entry, models_folder, settings) for entry in CATALOGUE),
        *(row for row in own if row is not None),
    ]


def named_in(settings: Settings, name: str, store: Store) -> str:
    """As the settings call the model of that name, be it by less of it; else the name itself.

    Who asks for one commit means no entry that leaves it open.

    Raises:
        ConfigError: several models here have that name.
    """
    chosen = _chosen(settings)
    if name in chosen or (one := store.find(name)) is None:
        return name
    is_open = _revision_in(name) is None
    fit = (each for each in chosen if _means(each, one) and (is_open or _revision_in(each)))
    return next(fit, name)


def _revision_in(name: str) -> str | None:
    reference = reference_of(name)
    return None if reference is None else reference.revision


def _chosen(settings: Settings) -> dict[str, int | None]:
    """What the settings call the models that they have served, and their priorities."""
    several: dict[str, int | None] = {one.model: one.priority for one in settings.models}
    return several if settings.model is None else {settings.model: None, **several}


def _of_store(one: Pulled, store: Store, settings: Settings) -> Row:
    manifest = one.manifest
    meant = [rank for name, rank in _chosen(settings).items() if _means(name, one)]
    return Row(
        name=one.name,
        id=one.id,
        kind=manifest.kind,
        quantisation=one.variant,
        size_bytes=one.size_bytes,
        source=manifest.hub,
        revision=manifest.revision,
        commit=manifest.commit,
        path=str(one.path),
        pulled_at=manifest.pulled_at,
        used_at=datetime.fromtimestamp(one.used_at, UTC).date().isoformat(),
        is_in_use=store.is_in_use(one),
        is_chosen=bool(meant),
        is_pinned=manifest.is_pinned,
        runs_own_code=f"{manifest.repo}@{manifest.commit}" in settings.remote_code,
        priority=meant[0] if meant else None,
    )


def _means(name: str, one: Pulled) -> bool:
    reference = reference_of(name)
    return one.id == name if reference is None else one.is_meant_by(reference)


def _of_catalogue(entry: ModelEntry, models_folder: Path, settings: Settings) -> Row:
    chosen = _chosen(settings)
    path = models_folder / entry.sha256 / entry.file
    is_here = path.exists()
    return Row(
        name=entry.id,
        id=entry.id,
        kind="gguf",
        quantisation=quantisation_of(entry.file),
        size_bytes=entry.unpacked_bytes,
        source="catalogue",
        path=str(path) if is_here else None,
        is_here=is_here,
        is_chosen=entry.id in chosen,
        priority=chosen.get(entry.id),
    )


def _of_path(name: str, priority: int | None, store: Store) -> Row | None:
    """A GGUF file or a folder of safetensors that the owner keeps himself; None for all others."""
    if not (name.startswith((".", "~")) or Path(name).is_absolute()):
        return None
    try:
        model = resolve(name, store)
    except AgentError:
        return None  # what is wrong with it is told where it is to be served
    assert not isinstance(model, ModelEntry), "no name of the catalogue is a path"
    return Row(
        name=name,
        id=model.id,
        kind="gguf" if isinstance(model, GgufModel) else "safetensors",
        quantisation=quantisation_of(model.path.name) if isinstance(model, GgufModel) else None,
        size_bytes=model.weight_bytes,
        source="path",
        path=str(model.path),
        is_chosen=True,
        priority=priority,
    )

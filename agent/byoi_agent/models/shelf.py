"""What `byoi models list` shows: all that was pulled, and what the catalogue has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.names import quantisation_of, reference_of

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.config.settings import Settings
    from byoi_agent.models.catalogue import ModelEntry
    from byoi_agent.models.store import Pulled, Store


@dataclass(frozen=True)
class Row:
    """One model. `used_at` is the day (UTC) when it was last loaded; sizes are those on the disk.

    `is_in_use` says that a running node holds it, `is_chosen` that the settings name it.
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
    """All models, those that were pulled first."""
    named = [settings.model, *(one.model for one in settings.models)]
    chosen = [name for name in named if name is not None]
    return [
        *(_of_store(one, store, settings, chosen) for one in store.all()),
        *(_of_catalogue(entry, models_folder, chosen) for entry in CATALOGUE),
    ]


def _of_store(one: Pulled, store: Store, settings: Settings, chosen: list[str]) -> Row:
    manifest = one.manifest
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
        is_chosen=any(_means(name, one) for name in chosen),
        is_pinned=manifest.is_pinned,
        runs_own_code=f"{manifest.repo}@{manifest.commit}" in settings.remote_code,
    )


def _means(name: str, one: Pulled) -> bool:
    reference = reference_of(name)
    return one.id == name if reference is None else one.is_meant_by(reference)


def _of_catalogue(entry: ModelEntry, models_folder: Path, chosen: list[str]) -> Row:
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
    )

"""Under which terms a model is pulled, by the owner's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError
from byoi_agent.models.pull import Terms

if TYPE_CHECKING:
    from byoi_agent.config.settings import Settings
    from byoi_agent.models.store import Store

_GIB: Final = 1 << 30


def terms_of(settings: Settings, store: Store) -> Terms:
    """What may come from where, and what must stay when room is made."""
    budget = settings.model_disk_gib
    return Terms(
        endpoint=settings.hub,
        ca_file=settings.ca_file,
        may_download=settings.downloads == "allowed",
        remote_code=frozenset(settings.remote_code),
        budget_bytes=None if budget is None else int(budget * _GIB),
        named=frozenset(_named_keys(settings, store)),
    )


def _named_keys(settings: Settings, store: Store) -> list[str]:
    names = [settings.model, *(one.model for one in settings.models)]
    keys = []
    for name in names:
        try:
            found = store.find(name) if name else None
        except ConfigError:  # it may be any of several: all of them stay
            keys += [one.key for one in store.all() if name and one.name.startswith(name)]
            continue
        keys += [found.key] if found else []
    return keys

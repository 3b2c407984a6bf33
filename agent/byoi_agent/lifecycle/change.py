"""What a change of the settings means for a node that runs; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoi_agent.config.settings import LIVE, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOT_THE_ENGINES = frozenset(
    {"slots", "queue", "drain_seconds", "probe_seconds", "log_format", "log_level", "log_file"}
    | {"model_disk_gib", "downloads", "hub", "tariff", "prices", "stop_loss"}
    | {"memory_budget_gib", "idle_unload_minutes"}
    | {"mode", "idle", "schedule", "protect", "dedicated_to", "local_key_file"}
)


@dataclass(frozen=True)
class Change:
    """Names of settings: those that hold from now on, and those that need a restart."""

    now: tuple[str, ...] = ()
    at_restart: tuple[str, ...] = ()

    @property
    def needs_engine(self) -> bool:
        """Whether another engine, or the same one with other arguments, has to be started."""
        return bool(set(self.now) - _NOT_THE_ENGINES)


def change(started: Settings, held: Settings, wanted: Settings) -> Change:
    """What becomes of `wanted`, where `held` holds now in a node that was started with `started`.

    A setting that needs a restart is named each time, as long as it differs from the start's.
    """
    return Change(
        now=_different(held, wanted, (name for name in Settings.model_fields if name in LIVE)),
        at_restart=_different(
            started, wanted, (name for name in Settings.model_fields if name not in LIVE)
        ),
    )


def _different(one: Settings, other: Settings, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))

"""What is looked at: this user's settings and folders, and the node if one runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from byoi_agent.clock import SystemClock
from byoi_agent.hardware.probers import machine_probe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.hardware.devices import ProbeReading


class Probe(Protocol):
    """Whoever can look at the accelerators; its drivers are slow, and a running node has one."""

    async def read(self) -> ProbeReading: ...  # noqa: D102


@dataclass(frozen=True)
class Complaint:
    """A warning that a running node has of itself."""

    name: str
    text: str
    mend: str


@dataclass(frozen=True)
class Watch:
    """Who tells a node of the people at the machine, and what cannot be asked there, with why."""

    tellers: tuple[str, ...] = ()
    unseen_people: Mapping[str, str] = field(default_factory=dict)
    unseen_surroundings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunningNode:
    """What a running node says of itself.

    `accelerators` counts those that its account can use; None where it has not looked yet. `watch`
    is how it sees who uses the machine; None where that has no bearing, or it does not tell.
    """

    link_state: str
    link_reason: str | None = None
    engine_state: str | None = None
    engine_reason: str | None = None
    is_serving: bool = False
    standing: str | None = None
    accelerators: int | None = None
    complaints: tuple[Complaint, ...] = ()
    watch: Watch | None = None


@dataclass(frozen=True)
class Patient:
    """`console_url` is None where this machine has none yet; `config_file` need not exist."""

    settings: Settings
    paths: Paths
    environment: Mapping[str, str]
    config_file: Path | None = None
    console_url: str | None = None
    node: RunningNode | None = None
    probe: Probe = field(default_factory=machine_probe)
    clock: Clock = field(default_factory=SystemClock)

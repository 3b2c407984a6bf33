"""What sensors and watches say, as plain data; None is what nobody on this machine can say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SessionReading:
    """One person's session at a desktop, as seen from inside of it or by the login manager.

    `idle_seconds` since the last key or movement; `fullscreen` names the program whose window
    covers a whole screen; `sources` names what was asked.
    """

    user: str
    idle_seconds: float | None = None
    is_locked: bool | None = None
    fullscreen: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class MachineReading:
    """What holds for the whole machine; `programs` are those of the owner's list that run now."""

    on_battery: bool | None = None
    is_metered: bool | None = None
    programs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignUse:
    """A process that is none of ours and holds memory of a GPU."""

    gpu: int
    pid: int
    name: str
    memory_bytes: int | None = None

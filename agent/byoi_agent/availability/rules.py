"""What speaks against serving, one row each: in which modes, how strongly, and for how long; pure.

The table in docs/availability.md is printed from `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.readings import MachineReading
from byoi_agent.config.availability import Idle, Protect
from byoi_agent.sizes import in_memory

if TYPE_CHECKING:
    from byoi_agent.availability.readings import ForeignUse, SessionReading
    from byoi_agent.availability.view import Mode, State
    from byoi_agent.hardware.devices import DeviceReading

STALE_SECONDS: Final = 60.0
"""A session that has said nothing for so long cannot be known: its helper may be gone."""

SETTLE_SECONDS: Final = 60.0
"""What spares the machine holds for so long after its cause has gone."""

POWER_SECONDS: Final = 10.0
"""The GPUs may draw more than their limit for so long: a peak is no reason to stop."""

COOLER_CELSIUS: Final = 5.0
"""Once too hot, a GPU has to be cooler than its limit by this much."""

MARGIN_CELSIUS: Final = 2.0
"""Without a limit of the owner's, a GPU may come so near to where it slows itself down."""

_GIB: Final = 1024**3
_MINUTE: Final = 60.0
_DISK_SLACK: Final = 1.1
_ALWAYS: Final[tuple[Mode, ...]] = ("dedicated", "idle", "scheduled")
_OWNERS: Final[tuple[Mode, ...]] = ("idle", "scheduled")


@dataclass(frozen=True)
class Now:
    """One moment: seconds that only grow, also while the machine is suspended; Unix seconds."""

    elapsed: float
    wall: float


@dataclass(frozen=True)
class Pause:
    """The owner's wish to have the machine; `ends_at` in seconds of `Now.elapsed`, None: open."""

    actor: str
    ends_at: float | None = None
    finish: bool = False


@dataclass(frozen=True)
class Updating:
    """A version that is about to take this one's place; waited for until then (`Now.elapsed`)."""

    version: str
    ends_at: float


@dataclass(frozen=True)
class Seen:
    """A session's reading, and when it came (`Now.elapsed`)."""

    reading: SessionReading
    at: float


@dataclass(frozen=True)
class Inputs:
    """All that the decision depends on; what nobody has told is None or empty.

    Until `looks_until` (`Now.elapsed`) what was not told may only not have been told yet.
    """

    mode: Mode = "dedicated"
    pinned_to: str | None = None
    pause: Pause | None = None
    updating: Updating | None = None
    sessions: tuple[Seen, ...] = ()
    machine: MachineReading = field(default_factory=MachineReading)
    foreign: tuple[ForeignUse, ...] = ()
    calendar: CalendarState = field(default_factory=CalendarState)
    devices: tuple[DeviceReading, ...] = ()
    disk_free_bytes: int | None = None
    looks_until: float | None = None
    idle: Idle = field(default_factory=Idle)
    protect: Protect = field(default_factory=Protect)


@dataclass(frozen=True)
class Cause:
    """A rule's cause is there: `at` is when it last was (now if None).

    `ends` (`Now.elapsed`) and `changes_at` (Unix seconds) are when it goes by the clock alone.
    """

    what: str = ""
    at: float | None = None
    ends: float | None = None
    changes_at: float | None = None


Look = Callable[[Inputs, Now, bool], Cause | None]
"""Looks for a rule's cause; told whether the rule holds already."""

Settling = Callable[[Inputs], float]


def _at_once(_inputs: Inputs) -> float:
    return 0.0


def _return_minutes(inputs: Inputs) -> float:
    return inputs.idle.return_minutes * _MINUTE


def _settle_seconds(_inputs: Inputs) -> float:
    return SETTLE_SECONDS


@dataclass(frozen=True)
class Rule:
    """A row: `told` says for the documentation when it holds."""

    code: str
    state: State
    modes: tuple[Mode, ...]
    look: Look
    told: str
    settles: Settling = _at_once
    onset_seconds: float = 0.0


def serving(inputs: Inputs, mode: Mode) -> tuple[str, str, float | None]:
    """Why it serves where nothing speaks against it: code, what, and until when (Unix seconds)."""
    calendar = inputs.calendar
    if inputs.pinned_to:
        return "pinned", inputs.pinned_to, calendar.quiet_changes_at
    if mode == "scheduled":
        return "in_window", "", calendar.changes_at
    return "dedicated" if mode == "dedicated" else "away", "", calendar.quiet_changes_at


def _paused(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    return _pause(inputs, now, finish=False)


def _paused_to_finish(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    return _pause(inputs, now, finish=True)


def _pause(inputs: Inputs, now: Now, *, finish: bool) -> Cause | None:
    pause = inputs.pause
    if pause is None or pause.finish != finish:
        return None
    if pause.ends_at is not None and now.elapsed >= pause.ends_at:
        return None
    return Cause(pause.actor, ends=pause.ends_at)


def _updating(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    updating = inputs.updating
    if updating is None or now.elapsed >= updating.ends_at:
        return None
    return Cause(updating.version, ends=updating.ends_at)


def _active(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    """The person whose last key is the newest; a locked screen counts as left."""
    after = inputs.idle.after_minutes * _MINUTE
    found = [
        (seen.at - seen.reading.idle_seconds, seen.reading.user)
        for seen in inputs.sessions
        if not seen.reading.is_locked and seen.reading.idle_seconds is not None
    ]
    at, user = max(found, default=(0.0, ""))
    if not found or now.elapsed - at >= after:
        return None
    return Cause(user, at=at, ends=at + after)


def _unreadable(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    for seen in inputs.sessions:
        reading = seen.reading
        knows = reading.is_locked or reading.idle_seconds is not None
        if not knows or now.elapsed - seen.at >= STALE_SECONDS:
            return Cause(reading.user)
    return None


def _looking(inputs: Inputs, now: Now, _held: bool) -> Cause | None:
    until = inputs.looks_until
    return None if until is None or now.elapsed >= until else Cause(ends=until)


def _fullscreen(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    if inputs.idle.fullscreen == "off":
        return None
    for seen in inputs.sessions:
        program = seen.reading.fullscreen
        if program and not seen.reading.is_locked and not is_ignored(program, inputs.idle):
            return Cause(program)
    return None


def _program(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    named = (name for name in inputs.machine.programs if not is_ignored(name, inputs.idle))
    program = next(named, None)
    return None if program is None else Cause(program)


def _foreign_gpu(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    if inputs.idle.foreign_gpu == "off":
        return None
    for use in inputs.foreign:
        if not is_ignored(use.name, inputs.idle):
            size = "" if use.memory_bytes is None else f"{in_memory(use.memory_bytes)} of "
            return Cause(f"{use.name} uses {size}GPU {use.gpu}")
    return None


def _hot(inputs: Inputs, _now: Now, held: bool) -> Cause | None:
    """Of a GPU that has no limit of its own and got none from the owner, nobody can say."""
    for device in inputs.devices:
        limit = inputs.protect.temperature_celsius or _own_limit(device)
        celsius = device.temperature_celsius
        if limit is None or celsius is None:
            continue
        if celsius >= limit or (held and celsius > limit - COOLER_CELSIUS):
            return Cause(f"GPU {device.index} is at {celsius:.0f} °C of at most {limit:.0f}")
    return None


def _own_limit(device: DeviceReading) -> float | None:
    slowdown = device.slowdown_celsius
    return None if slowdown is None else slowdown - MARGIN_CELSIUS


def _power(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    limit = inputs.protect.power_watts
    watts = sum(device.power_watts or 0.0 for device in inputs.devices)
    if limit is None or watts <= limit:
        return None
    return Cause(f"the GPUs draw {watts:.0f} W of at most {limit:.0f}")


def _disk(inputs: Inputs, _now: Now, held: bool) -> Cause | None:
    free, least = inputs.disk_free_bytes, inputs.protect.disk_free_gib * _GIB
    if free is None or free >= least * (_DISK_SLACK if held else 1.0):
        return None
    return Cause(f"{free / _GIB:.1f} GiB of disk are free of at least {least / _GIB:g}")


def _battery(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    return Cause() if inputs.machine.on_battery and inputs.idle.battery == "on" else None


def _metered(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    return Cause() if inputs.machine.is_metered and inputs.idle.metered == "on" else None


def _quiet(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    calendar = inputs.calendar
    return Cause(changes_at=calendar.quiet_changes_at) if calendar.is_quiet else None


def _closed(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    calendar = inputs.calendar
    return None if calendar.is_open else Cause(changes_at=calendar.opening_changes_at)


def _held_back(inputs: Inputs, _now: Now, _held: bool) -> Cause | None:
    told = "; ".join(inputs.calendar.holds_back)
    return Cause(told, changes_at=inputs.calendar.changes_at) if told else None


def is_ignored(program: str, idle: Idle) -> bool:
    """Whether the owner said that it never counts; `*` and `?` stand for others, case is alike."""
    name = program.casefold()
    return any(fnmatchcase(name, pattern.casefold()) for pattern in idle.ignored_programs)


RULES: Final = (
    Rule("paused", "yield", _ALWAYS, _paused, "the owner has paused the node"),
    Rule(
        "active",
        "yield",
        _OWNERS[:1],
        _active,
        "somebody touched a key or moved the mouse within `idle.after_minutes`, and the screen is "
        "not locked",
        _return_minutes,
    ),
    Rule(
        "unreadable",
        "yield",
        _OWNERS[:1],
        _unreadable,
        "a desktop is in use and cannot be read, or has not been heard of for a minute",
        _return_minutes,
    ),
    Rule(
        "fullscreen",
        "yield",
        _OWNERS,
        _fullscreen,
        "a program covers a whole screen that is not locked (`idle.fullscreen`)",
        _return_minutes,
    ),
    Rule(
        "program",
        "yield",
        _OWNERS,
        _program,
        "a program of `idle.programs` runs",
        _return_minutes,
    ),
    Rule(
        "foreign_gpu",
        "yield",
        _OWNERS,
        _foreign_gpu,
        "another program holds memory of a GPU (`idle.foreign_gpu`)",
        _return_minutes,
    ),
    Rule(
        "looking",
        "yield",
        _OWNERS,
        _looking,
        "the node has started less than 5 seconds ago, and somebody may be there",
    ),
    Rule(
        "paused_to_finish",
        "drain",
        _ALWAYS,
        _paused_to_finish,
        "the owner has paused the node with `--finish`",
    ),
    Rule(
        "updating",
        "drain",
        _ALWAYS,
        _updating,
        "a newer version is about to be installed and waits for what runs to end",
    ),
    Rule(
        "hot",
        "drain",
        _ALWAYS,
        _hot,
        "a GPU has reached `protect.temperature_celsius`, or else 2 K less than where it slows "
        "itself down; until it is 5 K cooler",
        _settle_seconds,
    ),
    Rule(
        "power",
        "drain",
        _ALWAYS,
        _power,
        "the GPUs together have drawn more than `protect.power_watts` for 10 seconds",
        _settle_seconds,
        POWER_SECONDS,
    ),
    Rule(
        "disk",
        "drain",
        _ALWAYS,
        _disk,
        "less disk is free than `protect.disk_free_gib`; until there is a tenth more",
        _settle_seconds,
    ),
    Rule("quiet", "drain", _ALWAYS, _quiet, "it is within the quiet hours (`schedule.quiet`)"),
    Rule(
        "battery",
        "drain",
        _OWNERS,
        _battery,
        "the machine runs on battery (`idle.battery`)",
        _return_minutes,
    ),
    Rule(
        "metered",
        "drain",
        _OWNERS,
        _metered,
        "the network is metered (`idle.metered`)",
        _return_minutes,
    ),
    Rule(
        "outside_window",
        "drain",
        _OWNERS[1:],
        _closed,
        "no window of `schedule.windows` is open",
    ),
    Rule(
        "held_back",
        "drain",
        _OWNERS[1:],
        _held_back,
        "a forecast says to wait (`schedule.carbon`, `schedule.price`)",
    ),
)
"""First come those that yield; of equals the first one is told."""

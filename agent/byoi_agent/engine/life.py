"""The words of an engine's life: what it can be, what can happen to it, what can be ordered.

`machine.step` says what follows what; `supervisor` carries the orders out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from byoi_agent.engine.view import ServedModel

Wish = Literal["serve", "sleep", "stop"]
"""What the owner wants to come of an engine that is on its way elsewhere."""


@dataclass(frozen=True)
class Limits:
    """What its kind needs, times in seconds; less where its owner is in a hurry.

    `drain`: from asking it to leave to killing it. `stable`: how long it must serve for its earlier
    failures to be forgotten. `can_sleep`: whether its process may stay without its memory.
    """

    startup_seconds: float = 30.0
    drain_seconds: float = 10.0
    sleep_seconds: float = 30.0
    can_sleep: bool = False
    stable_seconds: float = 600.0
    first_back_off_seconds: float = 1.0
    last_back_off_seconds: float = 300.0


# States. A process (or session) exists in all but Stopped, Preparing, BackingOff, Dormant, Failed.


@dataclass(frozen=True)
class Stopped:
    """Nobody wants it to run."""


@dataclass(frozen=True)
class Preparing:
    """What it needs is being fetched; `attempt` counts from 1 since it last served for long."""

    attempt: int


@dataclass(frozen=True)
class Starting:
    """It has been started, or woken, and must answer by `deadline`."""

    attempt: int
    deadline: float


@dataclass(frozen=True)
class Ready:
    """It has answered, serving since `since`; `doubt` says why it gets no new requests just now."""

    attempt: int
    since: float
    models: tuple[ServedModel, ...]
    doubt: str | None = None


@dataclass(frozen=True)
class Quieting:
    """It gets no new requests; those under way may end until `deadline`, `then` it is ended."""

    attempt: int
    since: float
    models: tuple[ServedModel, ...]
    deadline: float
    then: Wish


@dataclass(frozen=True)
class FallingAsleep:
    """It was told to sleep and must have obeyed by `deadline`; `then` what is wanted since."""

    deadline: float
    then: Wish = "sleep"


@dataclass(frozen=True)
class Asleep:
    """It runs and holds no memory of the accelerator."""


@dataclass(frozen=True)
class Dormant:
    """It is asleep without a process; waking it is a start."""


@dataclass(frozen=True)
class Waking:
    """It was told to wake and must answer by `deadline`; `then` what is wanted since."""

    deadline: float
    then: Wish = "serve"


@dataclass(frozen=True)
class Draining:
    """It was asked to leave, and is killed at `deadline`; `then` what is wanted once it is gone."""

    deadline: float
    then: Wish = "stop"


@dataclass(frozen=True)
class Ending:
    """It is being killed because of `reason`; `is_final` if only the owner can mend that."""

    attempt: int
    reason: str
    is_final: bool = False


@dataclass(frozen=True)
class BackingOff:
    """The next attempt comes at `until`."""

    attempt: int
    until: float
    reason: str


@dataclass(frozen=True)
class Failed:
    """Only the owner can mend it."""

    reason: str


State = (
    Stopped | Preparing | Starting | Ready | Quieting | FallingAsleep | Asleep | Dormant | Waking |
    Draining | Ending | BackingOff | Failed
)  # fmt: skip

# Events: what has happened.


@dataclass(frozen=True)
class StartWanted:
    """It shall serve, from wherever it is; awake if it sleeps."""


@dataclass(frozen=True)
class StopWanted:
    """It shall not serve; requests under way have `within_seconds` to end."""

    within_seconds: float = 30.0


@dataclass(frozen=True)
class SleepWanted:
    """It shall give its memory back and be ready to wake; requests under way have so long."""

    within_seconds: float = 30.0


@dataclass(frozen=True)
class Prepared:
    """All that it needs is here."""


@dataclass(frozen=True)
class PrepareFailed:
    """What it needs is not here; `is_final` if trying again cannot help."""

    reason: str
    is_final: bool


@dataclass(frozen=True)
class Answered:
    """It serves these models: health, list of models and a one-token answer were all good."""

    models: tuple[ServedModel, ...]


@dataclass(frozen=True)
class Doubted:
    """A first sign that it may not serve: it gets nothing new until that is known."""

    reason: str


@dataclass(frozen=True)
class Unhealthy:
    """It runs and does not answer."""

    reason: str


@dataclass(frozen=True)
class Unfit:
    """It must not run as it is, and only the owner can mend that."""

    reason: str


@dataclass(frozen=True)
class Quiet:
    """No request of ours is under way at it."""


@dataclass(frozen=True)
class Obeyed:
    """It sleeps, or is awake, as it was told; awake does not say that it answers."""


@dataclass(frozen=True)
class Disobeyed:
    """It neither slept nor woke when told to."""

    reason: str


@dataclass(frozen=True)
class Exited:
    """Nothing of it runs any more."""

    reason: str


@dataclass(frozen=True)
class Woke:
    """A time asked for by `WakeAt` may have come."""


Event = (
    StartWanted | StopWanted | SleepWanted | Prepared | PrepareFailed | Answered | Doubted |
    Unhealthy | Unfit | Quiet | Obeyed | Disobeyed | Exited | Woke
)  # fmt: skip

# Commands: what the supervisor must do.


@dataclass(frozen=True)
class Prepare:
    """Fetch what it needs; ends in Prepared or PrepareFailed."""


@dataclass(frozen=True)
class AbandonPrepare:
    """Stop fetching; no event follows."""


@dataclass(frozen=True)
class Spawn:
    """Start it; ends in Exited, whatever happens."""


@dataclass(frozen=True)
class CutRequests:
    """End what is still under way at it; nothing of it may reach an engine that sleeps."""


@dataclass(frozen=True)
class Sleep:
    """Tell it to sleep; ends in Obeyed or Disobeyed, unless its state is left before."""


@dataclass(frozen=True)
class Rouse:
    """Tell it to wake; ends in Obeyed or Disobeyed, unless its state is left before."""


@dataclass(frozen=True)
class Terminate:
    """Ask it to leave."""


@dataclass(frozen=True)
class Kill:
    """End it now, with all that it started."""


@dataclass(frozen=True)
class WakeAt:
    """Send Woke at this time; replaces an earlier one."""

    at: float


Command = Prepare | AbandonPrepare | Spawn | CutRequests | Sleep | Rouse | Terminate | Kill | WakeAt

Outcome = tuple[State, list[Command]]
"""What the engine becomes, and what must be done about it."""

"""An update's way from the index to the node, and back again: what follows what; pure.

Each state is on the disk before what it orders is begun, so that after a loss of power the next
start knows what may be half done. Until `Switching` the old version serves and nothing has to be
undone; from there on a node comes to rest only on a version that has proved itself, or on the one
before. Every order can be carried out a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

ATTEMPTS: Final = 2
"""How often a version may be begun with: one that takes the machine down is no better than none."""


@dataclass(frozen=True)
class Change:
    """From which version to which; `is_here` where the other one has been staged before.

    `was_running` and `was_serving` say how the node was before it was told to stop.
    """

    old: str
    new: str
    is_here: bool = False
    was_running: bool = False
    was_serving: bool = False


# States


@dataclass(frozen=True)
class Idle:
    """Nothing is under way."""


@dataclass(frozen=True)
class Fetching:
    """The release comes from the index, and is checked."""

    change: Change


@dataclass(frozen=True)
class Staging:
    """It is made ready beside the version that runs."""

    change: Change


@dataclass(frozen=True)
class Draining:
    """The node takes nothing new; what runs may end."""

    change: Change


@dataclass(frozen=True)
class Switching:
    """The service stops, and starts as the other version."""

    change: Change
    attempt: int = 1


@dataclass(frozen=True)
class Proving:
    """The other version runs and has to show that it serves."""

    change: Change
    attempt: int = 1


@dataclass(frozen=True)
class Committing:
    """It has: what is older than the version before is cleared away."""

    change: Change


@dataclass(frozen=True)
class GoingBack:
    """It has not: the version before is put back."""

    change: Change
    why: str


State = Idle | Fetching | Staging | Draining | Switching | Proving | Committing | GoingBack

# Events


@dataclass(frozen=True)
class Found:
    """A release that this node may become."""

    change: Change


@dataclass(frozen=True)
class Fetched:
    """It has come, and is what the index says."""


@dataclass(frozen=True)
class Staged:
    """It is ready beside the one that runs."""


@dataclass(frozen=True)
class Drained:
    """Nothing is served any more; whether the node ran, and served, when it was told to stop."""

    was_running: bool
    was_serving: bool


@dataclass(frozen=True)
class Switched:
    """The service was started as the other version."""


@dataclass(frozen=True)
class Proved:
    """It does what the one before did."""


@dataclass(frozen=True)
class Committed:
    """All is cleared away."""


@dataclass(frozen=True)
class WentBack:
    """The version before runs again."""


@dataclass(frozen=True)
class Failed:
    """The last order could not be carried out."""

    why: str


@dataclass(frozen=True)
class Resumed:
    """The updater starts and finds this state: power was lost, or it was killed."""


@dataclass(frozen=True)
class Replaced:
    """A person has put another version in the place of both, at whatever moment."""

    by: str


Event = (
    Found
    | Fetched
    | Staged
    | Drained
    | Switched
    | Proved
    | Committed
    | WentBack
    | Failed
    | Resumed
    | Replaced
)

# Commands: `Discard` and `EndDrain` have no outcome; `Remember` and `Tell` go onto the disk
# with the state itself; of all others one event comes back.


@dataclass(frozen=True)
class Fetch:
    """Fetch the release and check it."""

    change: Change


@dataclass(frozen=True)
class Stage:
    """Make it ready beside the one that runs."""

    change: Change


@dataclass(frozen=True)
class Drain:
    """Have the node take nothing new, and wait for what runs."""

    change: Change


@dataclass(frozen=True)
class Switch:
    """Stop the service and start it as the other version."""

    change: Change


@dataclass(frozen=True)
class Prove:
    """Have the other version show that it serves."""

    change: Change


@dataclass(frozen=True)
class Commit:
    """Clear away what is older than the version before."""

    change: Change


@dataclass(frozen=True)
class GoBack:
    """Put the version before back, and its state, and start it."""

    change: Change


@dataclass(frozen=True)
class Discard:
    """Clear away what was fetched and what is half staged."""

    change: Change


@dataclass(frozen=True)
class EndDrain:
    """Have the node take work again; what was staged stays for the next time."""

    change: Change


@dataclass(frozen=True)
class Remember:
    """Never try this version again by itself."""

    version: str
    why: str


@dataclass(frozen=True)
class Tell:
    """Keep for the owner what came of it."""

    change: Change
    outcome: str
    why: str = ""


Command = (
    Fetch | Stage | Drain | Switch | Prove | Commit | GoBack | Discard | EndDrain | Remember | Tell
)

DONE: Final = "updated"
POSTPONED: Final = "postponed"
TAKEN_BACK: Final = "rolled back"
STUCK: Final = "stuck"
INTERRUPTED: Final = "the updater was interrupted"
BY_HAND: Final = "another version was installed by hand meanwhile"


def step(state: State, event: Event) -> tuple[State, list[Command]]:
    """What an update becomes, and what has to be done for it. Pairs not listed are not news."""
    match state, event:
        case Idle(), Found(change) if change.is_here:
            return Draining(change), [Drain(change)]
        case Idle(), Found(change):
            return Fetching(change), [Fetch(change)]
        case Fetching(change), Fetched():
            return Staging(change), [Stage(change)]
        case Staging(change), Staged():
            return Draining(change), [Drain(change)]
        case Draining(change), Drained(was_running, was_serving):
            told = replace(change, was_running=was_running, was_serving=was_serving)
            return _switch(told, 1)
        case Switching(change, attempt), Switched():
            return Proving(change, attempt), [Prove(change)]
        case Proving(change), Proved():
            return Committing(change), [Commit(change)]
        case Committing(change), Committed():
            return Idle(), [Tell(change, DONE)]
        case GoingBack(change, why), WentBack():
            return Idle(), [Remember(change.new, why), Tell(change, TAKEN_BACK, why)]
        case Fetching(change) | Staging(change), Failed(why):
            return Idle(), [Discard(change), Tell(change, POSTPONED, why)]
        case Fetching(change) | Staging(change), Resumed():
            return Idle(), [Discard(change), Tell(change, POSTPONED, INTERRUPTED)]
        case Draining(change), Failed(why):
            return Idle(), [EndDrain(change), Tell(change, POSTPONED, why)]
        case Draining(change), Resumed():
            return Idle(), [EndDrain(change), Tell(change, POSTPONED, INTERRUPTED)]
        case Switching(change) | Proving(change), Failed(why):
            return GoingBack(change, why), [GoBack(change)]
        case ((Switching(change, attempt) | Proving(change, attempt)), Resumed()):
            return _again(change, attempt)
        case Committing(change), Failed(why):  # it runs and has proved itself
            return Idle(), [Tell(change, DONE, why)]
        case Committing(change), Resumed():
            return state, [Commit(change)]
        case GoingBack(change), Resumed():
            return state, [GoBack(change)]
        case GoingBack(change), Failed(why):
            return state, [Tell(change, STUCK, why)]
        case (
            (
                Fetching(change)
                | Staging(change)
                | Draining(change)
                | Switching(change)
                | Proving(change)
                | Committing(change)
                | GoingBack(change)
            ),
            Replaced(by),
        ):  # neither of the two is what its owner wants by now
            return Idle(), [EndDrain(change), Tell(replace(change, old=by), POSTPONED, BY_HAND)]
        case _:
            return state, []


def _switch(change: Change, attempt: int) -> tuple[State, list[Command]]:
    return Switching(change, attempt), [Switch(change)]


def _again(change: Change, attempt: int) -> tuple[State, list[Command]]:
    """Whether it had been switched, nobody knows: it is done again, but not for ever."""
    if attempt < ATTEMPTS:
        return _switch(change, attempt + 1)
    why = "the machine went down twice while it was being started"
    return GoingBack(change, why), [GoBack(change)]

"""Decides which models are loaded: by demand, by priority, and within what memory there is.

A model is loaded when somebody waits for it, or with the node where the owner says so. Where memory
is short, what nobody uses gives way first, the least important and longest unused of it before the
rest. One in use gives way only to a model of higher priority that has waited `patience_seconds`,
or, once it has had its `turn_seconds`, to one of the same priority that has waited so long: it
starts nothing new, what runs there ends, and then they change places. What waits for it waits on
and has its own turn, so two models that do not fit together serve in batches.

Memory is counted by name (`memory`, `GPU 0`, `host memory`), a model's share of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from byoi_agent.engine.residency.memory import excess, fits, minus, most, plus
from byoi_agent.engine.residency.resident import (
    Asleep,
    Failed,
    Leaving,
    Loaded,
    Loading,
    Out,
    Resident,
    State,
    Unfit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.engine.residency.memory import Amounts
    from byoi_agent.engine.residency.resident import How, Model, Place


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    `rest`: how long nobody must have used a model for it to give way, so that a conversation's next
    request finds it. `patience`, `turn`: see above. `closing`: what a request gets to be heard of
    that began just before nothing could begin any more. The back-off is that of loads that fail;
    `stable` is how long a model must have been loaded for its earlier failures to be forgotten.
    """

    rest_seconds: float = 1.0
    patience_seconds: float = 5.0
    turn_seconds: float = 20.0
    closing_seconds: float = 0.1
    stable_seconds: float = 600.0
    first_back_off_seconds: float = 1.0
    last_back_off_seconds: float = 300.0


# Events: what has happened.


@dataclass(frozen=True)
class Configured:
    """These are the models and the memory from now on, whether by the owner or by measurement.

    What `others` hold of it can be given to no model now, and takes from none what it has.
    """

    models: tuple[Model, ...]
    budget: Amounts
    others: Amounts = field(default_factory=dict)


@dataclass(frozen=True)
class Demanded:
    """So many requests run at it and wait for it."""

    key: str
    running: int
    waiting: int


@dataclass(frozen=True)
class Served:
    """It is loaded and has answered."""

    key: str


@dataclass(frozen=True)
class Broke:
    """It could not be loaded, or has died; `is_final` if trying again cannot help."""

    key: str
    reason: str
    is_final: bool = False


@dataclass(frozen=True)
class Gone:
    """It has given its memory back; `is_asleep` if its process is still there."""

    key: str
    is_asleep: bool = False


@dataclass(frozen=True)
class Held:
    """Its owner wants its memory back for now; requests under way get so long."""

    key: str
    within_seconds: float


@dataclass(frozen=True)
class Released:
    """Its owner wants it loaded, whatever was before; `is_called` if just it and no other.

    Where it is not `is_wanted` in itself, it only may be loaded again.
    """

    key: str
    is_called: bool = False
    is_wanted: bool = True


@dataclass(frozen=True)
class Woke:
    """A time asked for by `WakeAt` may have come."""


Event = Configured | Demanded | Served | Broke | Gone | Held | Released | Woke

# Commands: what the pool must do.


@dataclass(frozen=True)
class Load:
    """Start or wake it; ends in Served or Broke."""

    key: str


@dataclass(frozen=True)
class Unload:
    """Have it give its memory back; ends in Gone. What still runs there gets so long."""

    key: str
    how: How = "stop"
    within_seconds: float = 30.0


@dataclass(frozen=True)
class WakeAt:
    """Send Woke at this time; replaces an earlier one."""

    at: float


Command = Load | Unload | WakeAt


def step(state: State, event: Event, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """Decide what becomes of every model. `now` is monotonic seconds."""
    desk = _Desk(state, now, limits)
    desk.hear(event)
    desk.settle()
    return State(desk.budget, desk.residents, desk.others), desk.commands


class _Desk:
    """One decision under way: the residents as they become, and the commands so far."""

    def __init__(self, state: State, now: float, limits: Limits) -> None:
        self.budget, self.others = state.budget, state.others
        self.residents = dict(state.residents)
        self.commands: list[Command] = []
        self._now = now
        self._limits = limits
        self._closing = {
            one.model.key
            for one in state.residents.values()
            if isinstance(one.place, Loaded) and one.place.closes
        }

    def hear(self, event: Event) -> None:
        """What the event changes by itself."""
        if isinstance(event, Configured):
            self._configure(event)
        elif not isinstance(event, Woke) and (one := self.residents.get(event.key)) is not None:
            self._put(self._heard(one, event))

    def settle(self) -> None:
        """What follows for all of them."""
        for one in tuple(self.residents.values()):
            self._settle(one)
        self._shrink()
        for one in tuple(self.residents.values()):
            if one.idle_unload_at is not None and self._now >= one.idle_unload_at:
                self._unload(replace(one, wants_in=False), self._how(one))
        self._give_memory()
        self._ask_for_time()

    def _configure(self, event: Configured) -> None:
        before, self.budget, self.others = self.residents, event.budget, event.others
        self.residents = {}
        for model in event.models:
            one = before.get(model.key) or self._fresh(model)
            if one.model.edition != model.edition:
                self._put(replace(one, is_retired=True, successor=model))
            else:
                self._put(replace(one, model=model, is_retired=False, successor=None))
        for key in before.keys() - self.residents.keys():
            self._put(replace(before[key], is_retired=True, successor=None))

    def _fresh(self, model: Model) -> Resident:
        return Resident(model, used_at=self._now, wants_in=model.loads_at_start)

    def _heard(
        self, one: Resident, event: Demanded | Served | Broke | Gone | Held | Released
    ) -> Resident:
        match event:
            case Demanded(_, running, waiting):
                return self._demanded(one, running, waiting)
            case Served():
                if not isinstance(one.place, Loading):
                    return one
                one = self._waited(replace(one, wants_in=one.model.loads_at_start, is_called=False))
                return replace(one, place=Loaded(self._now), used_at=self._now)
            case Broke(key, reason, is_final):
                if not isinstance(one.place, Loading | Loaded):
                    return one
                self.commands.append(Unload(key, "stop", 0.0))
                one = self._waited(replace(one, attempts=self._attempts(one) + 1, is_called=False))
                return replace(one, place=Leaving("stop", reason, is_final))
            case Gone(is_asleep=is_asleep):
                # It has had its turn: whoever waits for it comes after those who had none yet.
                since = self._now if one.presses else None
                place = self._gone(one, is_asleep=is_asleep)
                return replace(one, place=place, waited_from=since)
            case Held(key, seconds):
                if isinstance(one.place, Loading | Loaded):
                    self.commands.append(Unload(key, how := self._how(one), seconds))
                    one = replace(one, place=Leaving(how))
                return self._waited(replace(one, is_held=True, is_called=False))
            case Released(is_called=is_called, is_wanted=is_wanted):
                is_called = is_called and not isinstance(one.place, Loading | Loaded)
                wants = one.wants_in or is_wanted
                one = replace(one, is_held=False, wants_in=wants, attempts=0, is_called=is_called)
                one = self._waited(one)
                return replace(one, place=Out()) if isinstance(one.place, Failed) else one
            case _:
                assert_never(event)

    def _demanded(self, one: Resident, running: int, waiting: int) -> Resident:
        was_busy = one.is_busy
        one = self._waited(replace(one, running=running, waiting=waiting))
        if not (was_busy or one.is_busy):
            return one
        return replace(one, used_at=self._now, wants_in=one.wants_in or one.model.loads_at_start)

    def _waited(self, one: Resident) -> Resident:
        since = self._now if one.waited_from is None else one.waited_from
        return replace(one, waited_from=since if one.presses else None)

    def _attempts(self, one: Resident) -> int:
        """Failures that count: one that served for long enough begins anew."""
        served = self._now - one.place.since if isinstance(one.place, Loaded) else 0.0
        return 0 if served >= self._limits.stable_seconds else one.attempts

    def _gone(self, one: Resident, *, is_asleep: bool) -> Place:
        match one.place:
            case Leaving(failure=str(reason), is_final=is_final):
                doublings = min(one.attempts - 1, 30)  # far beyond the limit; no float runs over
                wait = self._limits.first_back_off_seconds * 2**doublings
                until = self._now + min(wait, self._limits.last_back_off_seconds)
                return Failed(reason, None if is_final else until)
            case Leaving() | Asleep():
                return Asleep() if is_asleep else Out()
            case _:
                return one.place

    def _settle(self, one: Resident) -> None:
        """What needs no look at the others."""
        if one.is_retired and isinstance(one.place, Out | Unfit | Failed):
            del self.residents[one.model.key]
            if one.successor is None:
                return
            one = self._demanded(self._fresh(one.successor), one.running, one.waiting)
        one = replace(one, place=self._settled(one))
        self._put(one)
        must_go = one.is_retired or excess(one.model.loaded, self.budget)
        match one.place:
            case Loading() | Loaded() if one.is_retired:
                self._send_away([one])
            case Asleep() if must_go:
                self._unload(one, "stop")

    def _settled(self, one: Resident) -> Place:
        match one.place:
            case Failed(until=until) if until is None or self._now < until:
                return one.place
            case Out() | Unfit() | Failed():
                over = excess(one.model.loaded, self.budget, self.others)
                return Out() if over is None else Unfit(f"it needs {over}")
            case Loaded(since):
                return Loaded(since)  # who must go is found anew each time
            case _:
                return one.place

    def _shrink(self) -> None:
        """The memory became less, or a model larger: enough of them must go, in use or not."""
        those = [one for one in self.residents.values() if one.stays]
        self._send_away(_least(those, self._kept(), self.budget))

    def _give_memory(self) -> None:
        """Whoever waits gets memory, the most important and longest waiting first."""
        promised: Amounts = {}
        wanted = [one for one in self.residents.values() if one.is_wanted]
        for one in sorted(wanted, key=_urgency):
            more = minus(one.model.loaded, one.takes)
            held = {} if isinstance(one.place, Asleep) else self._held_by_others(one.model)
            then = plus(self._kept(), promised, more, held)
            now = plus(self._taken(), more, held)
            if fits(now, self.budget) and fits(then, self.budget):
                self._put(replace(one, place=Loading(self._now)))
                self.commands.append(Load(one.model.key))
            elif one.presses and self._can_have_room(one, then):
                promised = plus(promised, more)

    def _held_by_others(self, model: Model) -> Amounts:
        """Of what it needs alone: a full GPU is no hindrance on another one."""
        return {name: count for name, count in self.others.items() if name in model.loaded}

    def _can_have_room(self, one: Resident, then: Amounts) -> bool:
        """Whether the memory that it needs is on its way now."""
        if fits(then, self.budget):
            return True
        others = [other for other in self.residents.values() if self._gives_way(other, one)]
        least = _least(others, then, self.budget)
        self._send_away(least)
        return bool(least)

    def _gives_way(self, one: Resident, other: Resident) -> bool:
        at = self._gives_way_at(one, other)
        return at is not None and self._now >= at

    def _gives_way_at(self, one: Resident, other: Resident) -> float | None:
        """When `one` can be made to go for `other`, which presses; None: not yet."""
        waited_from = other.waited_from or 0.0
        if not one.stays or isinstance(one.place, Loading):
            return None
        if not isinstance(one.place, Loaded):
            return waited_from
        ranks, patient = other.model.priority, waited_from + self._limits.patience_seconds
        times = [] if one.is_busy else [one.used_at + self._limits.rest_seconds]
        if ranks > one.model.priority:
            times.append(patient)
        elif ranks == one.model.priority:
            times.append(max(patient, one.place.since + self._limits.turn_seconds))
        return min(times, default=None)

    def _send_away(self, ones: Iterable[Resident]) -> None:
        for one in ones:
            may_begin = one.waiting > 0 and one.model.key not in self._closing
            if isinstance(one.place, Loaded) and (one.running or may_begin):
                self._put(replace(one, place=replace(one.place, closes=True)))
            else:
                self._unload(one, "stop" if one.is_retired else self._how(one))

    def _unload(self, one: Resident, how: How) -> None:
        self._put(replace(one, place=Leaving(how)))
        self.commands.append(Unload(one.model.key, how))

    def _how(self, one: Resident) -> How:
        """Asleep, where it can and there is room for what that takes."""
        asleep, loaded = one.model.asleep, one.model.loaded
        if asleep is None or not isinstance(one.place, Loaded):
            return "stop"
        more = minus(most(loaded, asleep), loaded)
        return "sleep" if fits(plus(self._taken(), more), self.budget) else "stop"

    def _taken(self) -> Amounts:
        return plus(*(one.takes for one in self.residents.values()))

    def _kept(self) -> Amounts:
        return plus(*(one.keeps for one in self.residents.values()))

    def _put(self, one: Resident) -> None:
        self.residents[one.model.key] = one

    def _ask_for_time(self) -> None:
        """The next moment at which time alone changes something."""
        all_of_them = self.residents.values()
        times = [one.idle_unload_at for one in all_of_them]
        times += [one.place.until for one in all_of_them if isinstance(one.place, Failed)]
        for other in all_of_them:
            if isinstance(other.place, Loaded) and other.place.closes and not other.running:
                times.append(self._now + self._limits.closing_seconds)
            if other.is_wanted and other.presses:
                times += [self._gives_way_at(one, other) for one in all_of_them]
        later = [at for at in times if at is not None and at > self._now]
        if later:
            self.commands.append(WakeAt(min(later)))


def _urgency(one: Resident) -> tuple[bool, int, float]:
    return not one.presses, -one.model.priority, one.waited_from or 0.0


def _worth(one: Resident) -> tuple[bool, int, float]:
    """Who goes first: whom nobody uses, the least important, the longest unused or loaded."""
    since = one.place.since if one.is_busy and isinstance(one.place, Loaded) else one.used_at
    return one.is_busy, one.model.priority, since


def _least(those: Iterable[Resident], then: Amounts, budget: Amounts) -> list[Resident]:
    """As few and as little worth of them as must go for `then` to fit; none where it does not."""
    going: list[Resident] = []
    for one in sorted(those, key=_worth):
        if not fits(then, budget):
            going.append(one)
            then = minus(then, one.takes)
    if not fits(then, budget):
        return []
    for one in reversed(tuple(going)):
        if fits(plus(then, one.takes), budget):  # a smaller one before it did not help alone
            going.remove(one)
            then = plus(then, one.takes)
    return going

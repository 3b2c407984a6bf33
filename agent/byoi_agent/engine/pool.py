"""All engines of this node: which of them has a model, and what each has to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.away import Away
from byoi_agent.engine.budget import ALL, budget_of, gpu_bytes, model_of, others_of
from byoi_agent.engine.faces import as_one, face_of, face_of_standing
from byoi_agent.engine.placement import free_bytes, place_of, placed
from byoi_agent.engine.pooled import PooledEngine
from byoi_agent.engine.residency import machine
from byoi_agent.engine.residency.resident import Leaving, Loaded, Loading
from byoi_agent.engine.residency.supervisor import Residency
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.placement import Places
    from byoi_agent.engine.pooled import Supervise
    from byoi_agent.engine.residency.resident import How, Model
    from byoi_agent.engine.view import EngineState, EngineView, ServedModel
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_wire.ids import ModelId

_LIMITS: Final = machine.Limits()


class EnginePool:
    """Sole owner of the node's engines; `publish` hears of each change of the whole's view.

    One that stands is there as long as the settings have it. The others share memory, and are
    loaded as the residency decides, by what `demand` tells. `idle` waits until no request of that
    engine is left; `reckoned` says what memory one takes, where that is known or measured. Where
    it `places`, each gets GPUs of its own as far as there are any, else whichever it finds.
    `others` tells what other programs hold of each GPU.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        supervise: Supervise,
        publish: Callable[[EngineView], None],
        idle: Callable[[str], Awaitable[None]],
        clock: Clock,
        budget_gib: float | None = None,
        reckoned: Callable[[Entry], int | None] = lambda _entry: None,
        limits: machine.Limits = _LIMITS,
        places: bool = True,
        others: Callable[[Sequence[DeviceReading]], Mapping[int, int]] | None = None,
    ) -> None:
        self._supervise = supervise
        self._publish = publish
        self._idle = idle
        self._clock = clock
        self._budget_gib = budget_gib
        self._reckoned = reckoned
        self._residency = Residency(
            clock=clock, load=self._load, unload=self._unload, publish=self._show, limits=limits
        )
        self._ask_others = others or (lambda _devices: {})
        self._others: Mapping[int, int] = {}
        self._gpus: dict[int, int] = {}
        self._free: dict[int, int] = {}
        self._shall_place = places
        self._places: Places = {}
        self._host_bytes: int | None = None
        self._wanted = {entry.key: entry for entry in entries}
        self._seats = {entry.key: self._seat(entry) for entry in entries}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._demands: dict[str, tuple[int, int]] = {}
        self._used_at: dict[str, float] = {}
        self._since: dict[str, tuple[EngineState, float]] = {}
        self._following: set[str] = set()
        self._away: Away | None = None
        self._asleep: set[str] = set()
        self._known: dict[str, tuple[ServedModel, ...]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._views = tuple(self._face(key) for key in self._seats)

    @property
    def view(self) -> EngineView:
        """All of them as one: ready as soon as anything can be asked, with all their models."""
        return as_one(self._views)

    @property
    def views(self) -> tuple[EngineView, ...]:
        """Each of them, in the settings' order; last those that only end what they have."""
        return self._views

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the owner wants, and what is still there of what he wanted before."""
        others = (seat.entry for key, seat in self._seats.items() if key not in self._wanted)
        return (*self._wanted.values(), *others)

    def engine_for(self, model: ModelId) -> PooledEngine | None:
        """Whose model it is, loaded or not; None where nobody of them offers it."""
        if len(self._seats) == 1:
            return next(iter(self._seats.values()))
        for view in sorted(self._views, key=lambda view: view.state != "ready"):
            if any(offered.id == model for offered in view.models):
                return self._seats[view.key]
        for key, entry in self._wanted.items():
            if any(offered.id == model for offered in entry.kind.offers):
                return self._seats[key]
        return None

    def gpus_of(self, entry: Entry) -> tuple[int, ...] | None:
        """Those that its owner named or that it was given; None: whichever it finds."""
        return entry.gpus or self._places.get(place_of(entry))

    def demand(self, key: str, running: int, waiting: int) -> None:
        """So many requests are at that engine and wait for it now."""
        before = self._demands.get(key, (0, 0))
        self._demands[key] = (running, waiting)
        self._used_at[key] = round(self._clock.wall())
        if tuple(map(bool, before)) != (running > 0, waiting > 0):
            self._residency.tell(machine.Demanded(key, running, waiting))

    def sleep(self, within_seconds: float, model: str | None = None) -> None:
        """Have it, or all of them, give memory back; requests under way get so long.

        Raises:
            ConfigError: there is no such model.
        """
        for seat in self._meant(model):
            self._asleep.add(seat.key)
            if self._stands(seat.key):
                seat.sleep(within_seconds)
            else:
                self._residency.tell(machine.Held(seat.key, within_seconds))
        self._show()

    def wake(self, model: str | None = None) -> None:
        """Have it, or all of them, serve again; of all that do not fit together, who can.

        For one that is named others give way as for a request. While the machine is its owner's
        this is kept until it comes back.

        Raises:
            ConfigError: there is no such model.
        """
        for seat in self._meant(model):
            self._asleep.discard(seat.key)
            if self._away is not None:
                self._away.wanted.add(seat.key)
            elif self._stands(seat.key):
                seat.wake()
            else:
                self._residency.tell(machine.Released(seat.key, is_called=model is not None))
        self._show()

    def release(
        self, within_seconds: float, by: float | None = None, *, last: Container[str] = ()
    ) -> None:
        """The machine is its owner's: no engine holds its memory until `come_back`.

        Requests under way get so long; what has not given its memory back `by` then, a monotonic
        time, is killed. Those named in `last` are ended, the others sleep where they can. What they
        serve can be asked for all the while, and waits.
        """
        if self._away is None:
            self._away = Away(wanted=self._to_come_back())
        self._away = replace(self._away, within_seconds=within_seconds, by=by)
        for key, seat in tuple(self._seats.items()):
            if self._stands(key):
                seat.release(within_seconds, by, is_last=key in last)
            elif (resident := self._residency.of(key)) is not None:
                is_under_way = isinstance(resident.place, Leaving)
                self._residency.tell(machine.Held(key, within_seconds))
                if is_under_way or key in last:
                    seat.release(within_seconds, by, is_last=True)
        self._show()

    def come_back(self) -> None:
        """The machine is not its owner's any more: what served then serves again."""
        if self._away is None:
            return
        away, self._away = self._away, None
        for key, seat in tuple(self._seats.items()):
            is_wanted = key in away.wanted and key not in self._asleep
            if self._stands(key):
                self._following.update({key} if is_wanted else ())
                seat.come_back(starts=is_wanted)
            else:
                seat.come_back(starts=False)
                if key not in self._asleep:
                    self._residency.tell(machine.Released(key, is_wanted=is_wanted))
        self._show()

    def resources(self, devices: Iterable[DeviceReading], host_bytes: int | None) -> None:
        """What memory the machine has. A GPU that cannot be read for a while is still there."""
        devices = tuple(devices)
        gpus = {**self._gpus, **gpu_bytes(devices)}
        # As it was before any engine was loaded: what is taken then is somebody else's.
        self._free = {**free_bytes(devices), **self._free}
        known = gpus, host_bytes, self._ask_others(devices)
        if known != (self._gpus, self._host_bytes, self._others):
            self._gpus, self._host_bytes, self._others = known
            self.reconsider()

    def reconsider(self) -> None:
        """What an engine takes may be known better than before."""
        if self._host_bytes is None or any(map(self._is_in_the_way, self._seats)):
            return  # not known yet, or what was there before still has the memory
        budget = budget_of(self._budget_gib, self._gpus, self._host_bytes)
        shared = [entry for entry in self._wanted.values() if not entry.is_standing]
        if self._shall_place:
            self._places = placed(shared, self._free, self._places, self._need)
        models = tuple(
            model_of(entry, self._gpus, self._reckoned, self.gpus_of(entry)) for entry in shared
        )
        others = others_of(self._others, self._gpus)
        fresh = {each.key for each in models if each.loads_at_start and self._is_fresh(each)}
        self._residency.tell(machine.Configured(models, budget, others))
        if self._away is not None:
            self._away.wanted.update(fresh)
            self.release(self._away.within_seconds, self._away.by)
        for key, load in self._demands.items():
            self._residency.tell(machine.Demanded(key, *load))

    def change_to(self, entries: Sequence[Entry], budget_gib: float | None = None) -> None:
        """Have these from now on. What is not among them, or is another, ends what it has first."""
        self._budget_gib = budget_gib
        before = self._wanted
        self._wanted = {}
        for entry in entries:
            self._wanted[entry.key] = self._taken_over(entry, before.get(entry.key))
        for key in before.keys() - self._wanted.keys():
            if before[key].is_standing and self._tasks is not None:
                self._tasks.create_task(self._leave(key), name=f"engine at {key} leaves")
        order = {key: self._seats[key] for key in self._wanted}
        self._seats = {**order, **self._seats}
        self.reconsider()
        self._show()

    async def run(self) -> None:
        """Until cancelled; nothing of any engine runs when this returns."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                self._begin_all()
                await self._residency.run()
            finally:
                self._tasks = None

    # Places.

    def _to_come_back(self) -> set[str]:
        """Who serves or is about to, and is not kept asleep by its owner."""
        wanted: set[str] = set()
        for key, seat in self._seats.items():
            one = self._residency.of(key)
            was_in = one is not None and (one.wants_in or isinstance(one.place, Loading | Loaded))
            is_here = self._stands(key) and seat.view.state != "failed"
            wanted.update({key} if (was_in or is_here) and key not in self._asleep else ())
        return wanted

    def _seat(self, entry: Entry) -> PooledEngine:
        key = entry.key
        return PooledEngine(
            entry,
            supervise=self._supervise,
            publish=lambda view: self._heard(key, view),
            idle=lambda: self._idle(key),
        )

    def _taken_over(self, entry: Entry, old: Entry | None) -> Entry:
        """The entry as it holds; an engine that only has other adapters stays."""
        seat = self._seats.get(entry.key)
        if seat is None:
            self._following.add(entry.key)
            self._seats[entry.key] = self._seat(entry)
            self._begin_all()
            return entry
        if old is not None and _differ_in_adapters(entry, old) and seat.adapt(entry.adapters):
            entry = replace(entry, kind=old.kind, number=old.number, edition=old.edition)
        if entry.edition == seat.entry.edition:
            seat.keep(entry)
        elif entry.is_standing or seat.entry.is_standing:
            self._following.add(entry.key)
            self._known.pop(entry.key, None)  # the other one need not have the same models
            seat.change_to(entry, starts=entry.key not in self._asleep)
        return entry  # the residency has the others changed, once they are out

    def _begin_all(self) -> None:
        for key, seat in tuple(self._seats.items()):
            waits = seat.entry.is_standing and seat.kind.offers and self._residency.keys
            if key not in self._running and not waits and self._tasks is not None:
                run = self._tasks.create_task(seat.run(), name=f"engine at {key}")
                self._running[key] = run

    def _need(self, entry: Entry, its: tuple[int, ...]) -> int:
        return model_of(entry, self._gpus, self._reckoned, its).loaded[ALL]

    def _is_fresh(self, model: Model) -> bool:
        """Whether it was not there before, or another engine has taken its place."""
        resident = self._residency.of(model.key)
        return resident is None or resident.model.edition != model.edition

    def _is_in_the_way(self, key: str) -> bool:
        """Whether it stood, is ours, and has not ended what it had."""
        entry = self._seats[key].entry
        return key not in self._wanted and entry.is_standing and bool(entry.kind.offers)

    async def _leave(self, key: str) -> None:
        await self._idle(key)
        if key in self._wanted or key not in self._seats:
            return  # its owner has thought again, or once more
        if (running := self._drop(key)) is not None:
            await asyncio.wait({running})
        self.reconsider()
        self._begin_all()

    def _drop(self, key: str) -> asyncio.Task[None] | None:
        del self._seats[key]
        for known in (self._since, self._known, self._used_at, self._demands):
            known.pop(key, None)
        self._asleep.discard(key)
        self._following.discard(key)
        if (running := self._running.pop(key, None)) is not None:
            running.cancel()
        self._show()
        return running

    def _sweep(self) -> None:
        """Whoever is out and wanted no more goes."""
        for key in self._seats:
            is_here = key in self._wanted or self._stands(key)
            if not is_here and self._residency.of(key) is None:
                self._drop(key)
                return  # which has looked at the others
        self._begin_all()

    def _stands(self, key: str) -> bool:
        return self._wanted.get(key, self._seats[key].entry).is_standing

    def _meant(self, model: str | None) -> list[PooledEngine]:
        if model is None:
            return [self._seats[key] for key in self._wanted]
        for key, entry in self._wanted.items():
            if model in {key, *(offered.id for offered in entry.kind.offers)}:
                return [self._seats[key]]
        offered = (one.id for entry in self._wanted.values() for one in entry.kind.offers)
        there = ", ".join(offered) or ", ".join(self._wanted)
        raise ConfigError(f"no engine here has the model {model}; there are: {there}")

    # News and orders.

    def _load(self, key: str) -> None:
        if self._away is None:  # else it is held in a moment, and loaded when that is over
            self._seats[key].load(self._wanted[key])

    def _unload(self, key: str, how: How, within_seconds: float) -> None:
        seat = self._seats[key]
        if self._away is None:
            seat.unload(how, within_seconds)
        else:
            seat.release(within_seconds, self._away.by, is_last=how == "stop")
        if seat.view.state in {"stopped", "failed"}:
            self._residency.hear(key, seat.view)  # there is nothing to be ended

    def _heard(self, key: str, view: EngineView) -> None:
        has_come_asleep = view.state in {"stopped", "asleep"} and key in self._asleep
        if has_come_asleep or view.state in {"ready", "backing_off", "failed"}:
            self._following.discard(key)
        if key in self._seats and not self._stands(key):
            self._residency.hear(key, view)
        self._show()

    def _show(self) -> None:
        self._views = tuple(self._face(key) for key in self._seats)
        self._publish(self.view)
        self._sweep()

    def _face(self, key: str) -> EngineView:
        face = self._face_now(key)
        state, since = self._since.get(key, (None, 0.0))
        if state != face.state:
            since = round(self._clock.wall())
            self._since[key] = face.state, since
        return replace(face, since=since)

    def _face_now(self, key: str) -> EngineView:
        seat = self._seats[key]
        entry = self._wanted.get(key, seat.entry)
        view = replace(seat.view, used_at=self._used_at.get(key))
        sleeps = key in self._asleep
        is_away = self._away is not None and not sleeps
        if entry.is_standing:
            if view.models and key not in self._following:
                self._known[key] = view.models
            return face_of_standing(
                entry,
                view,
                is_wanted=key in self._wanted,
                follows=is_away or key in self._following,
                sleeps=sleeps,
                known=self._known.get(key, ()),
            )
        resident = self._residency.of(key)
        if is_away and resident is not None:
            resident = replace(resident, is_held=False)
        return face_of(
            entry,
            view,
            resident,
            load_seconds=self._residency.load_seconds(key),
            is_wanted=key in self._wanted,
        )


def _differ_in_adapters(one: Entry, other: Entry) -> bool:
    is_same = (one.recipe, one.kind.slots) == (other.recipe, other.kind.slots)
    return is_same and one.adapters != other.adapters

"""Looks at the devices often enough while requests run, and tells each what it took."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.hardware.energy import EnergyMeter, tells
from byoi_agent.usage.attribution import OWN_USE, Attribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.clock import Clock
    from byoi_agent.hardware.devices import ProbeReading
    from byoi_agent.hardware.energy import Method, Spent
    from byoi_agent.usage.books import Books, EnergyKeeper
    from byoi_wire.ids import ModelId, RecordId

BUSY_SECONDS: Final = 1.0
"""Between looks while requests run: NVIDIA's newer drivers give the mean power of one second, so
that at this pace the integral misses nothing."""

IDLE_SECONDS: Final = 5.0
"""The same while nothing runs."""

SETTLE_SECONDS: Final = 10.0
"""A card cools its clocks down only some seconds after its last request; so long it is looked at
as often as before, since a straight line would cut the corner."""

FRESH_SECONDS: Final = 0.25
"""A look so new is good enough for a request's beginning or end: counters move in steps of 20 to
100 ms, and many short requests must not each pay for a look."""

WAIT_SECONDS: Final = 0.2
"""Longest time that a request's end waits for a look; a request shorter than `FRESH_SECONDS`
waits for none, since its beginning was looked at."""

WRITE_SECONDS: Final = 60.0
"""Energy that is on no record is written so often: a killed agent loses no more than that."""


class Probe(Protocol):
    """What looks at the devices; see `byoi_agent.hardware.watch.Probe`."""

    async def read(self) -> ProbeReading: ...  # noqa: D102


@dataclass(frozen=True)
class EnergyView:
    """What was measured since the start, and of each device how; None: it tells nothing."""

    by_model: Mapping[str, float]
    idle_joules: float
    methods: Mapping[int, Method | None]


class EnergySampler:
    """Sole reader of the probe: others look through it, one at a time, and each look is metered."""

    def __init__(
        self,
        probe: Probe,
        books: Books,
        keeper: EnergyKeeper,
        clock: Clock,
    ) -> None:
        self._probe = probe
        self._books = books
        self._keeper = keeper
        self._clock = clock
        self._models: tuple[ModelId, ...] = ()
        self._devices: Mapping[str, frozenset[int]] = {}
        self._meter = EnergyMeter()
        self._shares = Attribution()
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._busy = asyncio.Event()
        self._looked = asyncio.Event()
        self._looked_at: float | None = None
        self._looks_since: float | None = None
        self._ended_at = 0.0
        self._is_measurable = False
        self._methods: dict[int, Method | None] = {}

    @property
    def view(self) -> EnergyView:
        """What is known now."""
        by_model = {str(model): joules for model, joules in self._shares.by_model.items()}
        return EnergyView(by_model, self._shares.idle_joules, dict(self._methods))

    def know(self, models: tuple[ModelId, ...], devices: Mapping[str, frozenset[int]]) -> None:
        """These are served now, those of `devices` on these devices only; at the next request."""
        self._models, self._devices = models, devices
        self._books.tell(models)

    async def run(self) -> None:
        """Until cancelled; what was measured by then is written."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._want_while_idle(), name="energy while idle")
                tasks.create_task(self._want_while_busy(), name="energy of requests")
                tasks.create_task(self._write_often(), name="energy to the disk")
                while True:
                    await self._wanted.wait()
                    self._wanted.clear()
                    await self.read()
        finally:
            await self._write(at_once=True)

    async def read(self) -> ProbeReading:
        """One look, as the probe gives it."""
        async with self._turn:
            self._looks_since = began = self._clock.monotonic()
            try:
                reading = await self._probe.read()
            finally:
                self._looks_since = None
            self._note(reading, (began + self._clock.monotonic()) / 2)
        return reading

    # What serving calls.

    def refusal(self, model: ModelId) -> str | None:
        """Why a request for this model is sent back now; None where it is welcome."""
        return self._books.refusal(model)

    def begin(self, record_id: RecordId, model: ModelId, *, is_own: bool = False) -> None:
        """A request goes to the engine; what the owner's own ones take is nobody else's."""
        now = self._clock.monotonic()
        whose = OWN_USE if is_own else model
        self._shares.begin(record_id, whose, now, self._devices.get(model))
        self._busy.set()
        if self._is_stale(now):
            self._wanted.set()

    def stop(self, record_id: RecordId) -> None:
        """The engine has nothing more to do for it."""
        self._shares.stop(record_id, self._clock.monotonic())

    async def end(self, record_id: RecordId) -> float | None:
        """What the request took, in joules; None where it was not measured.

        Waits for a look where the last one is old, for a fifth of a second at most; not for one
        that has already taken longer, since its driver may hang.
        """
        if not self._shares.knows(record_id):
            return None
        self._shares.stop(record_id, self._clock.monotonic())
        if self._is_stale(now := self._clock.monotonic()) and not self._is_slow(now):
            self._wanted.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._looked.wait()
        return self.forget(record_id)

    def forget(self, record_id: RecordId) -> float | None:
        """The same without waiting."""
        self._ended_at = self._clock.monotonic()
        return self._shares.settle(record_id, self._ended_at)

    # Inside

    def _is_stale(self, now: float) -> bool:
        """Whether a look would tell more; where no device measures anything, it never does."""
        if not self._is_measurable:
            return False
        return self._looked_at is None or now - self._looked_at >= FRESH_SECONDS

    def _is_slow(self, now: float) -> bool:
        """Whether a look is under way that no request's end waits for any more."""
        return self._looks_since is not None and now - self._looks_since > WAIT_SECONDS

    def _note(self, reading: ProbeReading, at: float) -> None:
        for spent in self._meter.read(reading.devices, at):
            self._methods[spent.device] = spent.method
            self._book_idle(self._shares.spend(spent), spent)
        for device in reading.devices:
            self._methods.setdefault(device.index, None)
        self._is_measurable = any(tells(device) for device in reading.devices)
        self._book_assumed(at)
        self._shares.forget_before(at)
        self._looked_at = at
        self._looked.set()
        self._looked = asyncio.Event()

    def _book_idle(self, joules: float, spent: Spent) -> None:
        if joules and spent.method is not None:
            since, until = self._unix(spent.since), self._unix(spent.until)
            self._books.book("idle", "", joules, measured_by=spent.method, since=since, until=until)

    def _book_assumed(self, at: float) -> None:
        """By the owner's word, for the time in which requests ran."""
        if self._looked_at is None or not (watts := self._books.other_watts):
            return
        since, until = self._unix(self._looked_at), self._unix(at)
        shares = self._shares.busy_seconds(self._looked_at, at)
        shares.pop(OWN_USE, None)
        for model, seconds in shares.items():
            self._books.book(
                "assumed", model, watts * seconds, measured_by="setting", since=since, until=until
            )

    def _book_left(self, *, at_once: bool) -> None:
        now = self._clock.wall()
        methods = sorted({method for method in self._methods.values() if method is not None})
        left = self._shares.take_left(self._clock.monotonic(), at_once=at_once)
        left.pop(OWN_USE, None)
        for model, joules in left.items():
            self._books.book(
                "left", model, joules, measured_by="+".join(methods), since=now, until=now
            )

    def _unix(self, monotonic: float) -> float:
        return self._clock.wall() - (self._clock.monotonic() - monotonic)

    async def _want_while_idle(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + IDLE_SECONDS)
            if self._is_measurable:
                self._wanted.set()

    async def _want_while_busy(self) -> None:
        while True:
            await self._busy.wait()
            await self._clock.sleep_until(self._clock.monotonic() + BUSY_SECONDS)
            if self._is_measurable:
                self._wanted.set()
            settled_at = self._ended_at + SETTLE_SECONDS
            if not self._shares.is_busy and self._clock.monotonic() >= settled_at:
                self._busy.clear()

    async def _write_often(self) -> None:
        while True:
            self._books.tell(self._models)
            await self._clock.sleep_until(self._clock.monotonic() + WRITE_SECONDS)
            await self._write(at_once=False)

    async def _write(self, *, at_once: bool) -> None:
        self._book_left(at_once=at_once)
        await self._books.write(self._keeper)

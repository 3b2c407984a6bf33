"""Measures what each engine takes while it serves, and keeps it beside what was predicted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.footprint import device_bytes, growth_bytes, host_peak_bytes, tree_of
from byoi_agent.planning.calibration import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.engine.kept_loads import KeptLoads
    from byoi_agent.engine.prediction import Prediction
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 5.0
"""How often a running engine is looked at; its high-water mark remembers what was in between."""

GROWTH: Final = 1.005
"""A peak that grew by less is not worth a write to the disk."""


UNTOUCHED_SECONDS: Final = 2.0
"""So long after its start no engine has yet taken memory of a GPU: it still imports."""


@dataclass
class _Load:
    """One run of an engine: what was said of it before it was measured, and its peak so far."""

    prediction: Prediction
    reckoned_bytes: int
    expected_bytes: int
    at: float
    peak_bytes: int = 0
    told_bytes: int = field(default=0)


class LoadWatch:
    """Sole owner of the peaks of engines that run.

    A load is written down as soon as its engine has answered, and again when its peak has grown:
    whatever ends the node, the last peak is on the disk. Less than was reckoned proves nothing
    until the engine has worked: much of what it took is touched by the first long prompt only.
    `predict` is called in a thread, and is None for what cannot be reckoned; `on_known` hears when
    something is known better than before, of engines that run or shall.
    """

    def __init__(
        self,
        kept: KeptLoads,
        *,
        predict: Callable[[EngineView], Prediction | None],
        clock: Clock,
        on_known: Callable[[], None] = lambda: None,
        measure: Callable[[int], int | None] | None = None,
    ) -> None:
        self._kept = kept
        self._predict = predict
        self._clock = clock
        self._on_known = on_known
        self._measure = measure or _on_host
        self._predictions: dict[str, Prediction | None] = {}
        self._loads: dict[int, _Load] = {}
        self._engines: tuple[EngineView, ...] = ()
        self._devices: tuple[DeviceReading, ...] = ()
        self._without: tuple[DeviceReading, ...] = ()
        self._alone_until: float | None = None
        self._is_news = asyncio.Event()

    def look(self, engines: Sequence[EngineView], devices: tuple[DeviceReading, ...]) -> None:
        """What there is now; cheap, as it is called at every change of the node."""
        if (tuple(engines), devices) != (self._engines, self._devices):
            self._note_devices(engines, devices)
            self._engines, self._devices = tuple(engines), devices
            self._is_news.set()

    def _note_devices(
        self, engines: Sequence[EngineView], devices: tuple[DeviceReading, ...]
    ) -> None:
        """A reading of the devices without our engines: what they held before any was there.

        One that came while an engine ended may still show what that had, so the next one counts.
        """
        now, had = self._clock.monotonic(), any(one.pid is not None for one in self._engines)
        if not any(one.pid is not None for one in engines):
            self._alone_until = None
        elif not had:
            self._alone_until = now + UNTOUCHED_SECONDS
        is_alone = not had if self._alone_until is None else now < self._alone_until
        if devices != self._devices and is_alone:
            self._without = devices

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._is_news.wait()
            self._is_news.clear()
            await self.measure()
            await self._clock.sleep_until(self._clock.monotonic() + INTERVAL_SECONDS)

    async def measure(self) -> None:
        """One look at every engine that has answered."""
        engines = self._engines  # there may be others by the time these are reckoned
        known = {one.key: await asyncio.to_thread(self._predict, one) for one in engines}
        is_news = known != self._predictions
        self._predictions = known
        running = {one.pid: one for one in engines if one.pid is not None}
        self._loads = {pid: load for pid, load in self._loads.items() if pid in running}
        for pid, engine in running.items():
            if pid not in self._loads:
                if engine.state != "ready":
                    continue  # while it loads it may hold things twice; the peak remembers that
                load = self._begun(known[engine.key], engine)
                if load is None:
                    continue  # it may tell more the next time
                self._loads[pid] = load
            load = self._loads[pid]
            size = await self._size_of(pid, load.prediction) or 0
            load.peak_bytes = max(load.peak_bytes, size)
            if load.peak_bytes > load.reckoned_bytes or _has_worked(engine, load):
                is_news |= self._learn(load)
        if is_news:
            self._on_known()

    async def _size_of(self, pid: int, prediction: Prediction) -> int | None:
        if not prediction.is_on_devices:
            return await asyncio.to_thread(self._measure, pid)
        size = device_bytes(self._devices, await asyncio.to_thread(tree_of, pid))
        if size is None and sum(one.pid is not None for one in self._engines) == 1:
            size = growth_bytes(self._without, self._devices)
        if size is None and prediction.demand is not None:
            return prediction.predicted_bytes  # its share, which it measures and fills by itself
        return size

    def _begun(self, prediction: Prediction | None, engine: EngineView) -> _Load | None:
        reckoned = None if prediction is None else prediction.reckoned_bytes(engine.load)
        if prediction is None or reckoned is None:
            return None
        said = self._kept.corrections.of(prediction.key, reckoned)
        return _Load(prediction, reckoned, said.applied(reckoned), self._clock.wall())

    def _learn(self, load: _Load) -> bool:
        """Whether there was something to learn."""
        if load.peak_bytes <= load.told_bytes * GROWTH:
            return False
        is_first, load.told_bytes = load.told_bytes == 0, load.peak_bytes
        key, predicted = load.prediction.key, load.reckoned_bytes
        self._kept.learn(key, Observation(predicted, load.peak_bytes, load.at, load.expected_bytes))
        if is_first:
            logger.info(
                "engine loaded",
                extra={
                    "model": key.model,
                    "reckoned_bytes": predicted,
                    "expected_bytes": load.expected_bytes,
                    "measured_bytes": load.peak_bytes,
                },
            )
        return True


def _has_worked(engine: EngineView, load: _Load) -> bool:
    """Whether it has read as much as a request may bring; one that does not count never has."""
    read = None if engine.load is None else engine.load.prompt_tokens
    return read is not None and read >= load.prediction.key.context_tokens


def _on_host(pid: int) -> int | None:
    return host_peak_bytes(tree_of(pid))

"""Looks at the hardware again and again and passes on what it saw."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from byoi_agent.hardware.host import read_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.hardware.devices import DeviceReading, ProbeReading
    from byoi_agent.telemetry.health import Health
    from byoi_wire.offers import Host

_DRIVER = "gpu-driver"


class Probe(Protocol):
    """Something that can look at the accelerators of one kind."""

    async def read(self) -> ProbeReading:
        """One look; a fault of the driver is in the reading."""
        ...


@dataclass(frozen=True)
class HardwareView:
    """One look at the whole machine."""

    host: Host
    devices: tuple[DeviceReading, ...] = ()


class HardwareWatch:
    """Reads the machine every `interval_seconds`; a lost driver becomes a warning, not a crash."""

    def __init__(
        self,
        *,
        probe: Probe,
        storage: Path,
        publish: Callable[[HardwareView], None],
        health: Health,
        clock: Clock,
        interval_seconds: float,
    ) -> None:
        self._probe = probe
        self._storage = storage
        self._publish = publish
        self._health = health
        self._clock = clock
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._publish(await self.look())
            await self._clock.sleep_until(self._clock.monotonic() + self._interval_seconds)

    def every(self, seconds: float) -> None:
        """Look this often from the next look on."""
        self._interval_seconds = seconds

    async def look(self) -> HardwareView:
        """One look now."""
        reading = await self._probe.read()
        if reading.problem:
            self._health.warn(_DRIVER, reading.problem, reading.mend)
        else:
            self._health.clear(_DRIVER)
        host = await asyncio.to_thread(read_host, self._storage)
        return HardwareView(host, reading.devices)

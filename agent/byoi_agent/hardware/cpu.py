"""The processor as the device that computes, on a machine without an accelerator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware import host, sysfs
from byoi_agent.hardware.counter import EnergyCounter
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.looking import Looking

if TYPE_CHECKING:
    from collections.abc import Callable

_SYSTEM: Final = Path("/")
_PERCENT: Final = 100


class CpuProbe:
    """Sole owner of the processor's counters of energy, which need two looks to tell its power.

    They are the packages' own (RAPL), and on most systems readable by root alone: else None.
    """

    def __init__(self, root: Path = _SYSTEM, now: Callable[[], float] = time.monotonic) -> None:
        self._zones = root / "sys/class/powercap"
        self._now = now
        self._counters: dict[str, EnergyCounter] = {}
        self._has_looked = False
        self._looking = Looking("the processor", self._look, mend="restart the machine")

    async def read(self) -> ProbeReading:
        """One look."""
        return await self._looking.read()

    def now(self) -> ProbeReading:
        """The same, waited for."""
        return self._looking.now()

    def _look(self) -> ProbeReading:
        memory = host.read_memory()
        temperature, slowdown = host.cpu_temperature_celsius()
        packages = self._packages()
        for zone in packages:
            self._counters.setdefault(zone.name, EnergyCounter()).add(
                sysfs.millionth(zone / "energy_uj"),
                self._now(),
                sysfs.millionth(zone / "max_energy_range_uj"),
            )
        counters = [self._counters[zone.name] for zone in packages]
        device = DeviceReading(
            index=0,
            kind="cpu",
            name=host.cpu_name() or "CPU",
            memory_total_bytes=memory.total_bytes,
            memory_used_bytes=memory.used_bytes,
            memory_free_bytes=memory.free_bytes,
            is_memory_unified=True,
            cores=host.usable_cores(),
            utilisation_percent=self._busy(),
            power_watts=_sum([counter.watts for counter in counters]),
            power_limit_watts=_sum(
                [sysfs.millionth(zone / "constraint_0_power_limit_uw") for zone in packages]
            ),
            energy_joules=_sum([counter.joules for counter in counters]),
            temperature_celsius=temperature,
            slowdown_celsius=slowdown,
        )
        return ProbeReading((device,))

    def _packages(self) -> list[Path]:
        zones = sysfs.folders(self._zones, "intel-rapl:*")  # AMD's processors have the same name
        return [zone for zone in zones if (sysfs.text(zone / "name") or "").startswith("package")]

    def _busy(self) -> int | None:
        """Part of the time since the last look; nothing is known at the first one."""
        busy, had_looked = host.cpu_percent(), self._has_looked
        self._has_looked = True
        return min(_PERCENT, round(busy)) if had_looked else None


def _sum(values: list[float | None]) -> float | None:
    """All of them together; None where one is missing: a part would be told as the whole."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None

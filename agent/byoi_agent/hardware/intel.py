"""Intel's cards (Arc, Data Center GPU) through the files of the Linux drivers xe and i915."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.hardware import sysfs
from byoi_agent.hardware.counter import EnergyCounter
from byoi_agent.hardware.devices import DeviceReading, ProbeReading, unread
from byoi_agent.hardware.looking import Looking
from byoi_agent.hardware.sysfs import DeviceGone

if TYPE_CHECKING:
    from collections.abc import Callable

_SYSTEM: Final = Path("/")
_DRIVERS: Final = frozenset({"xe", "i915"})
_MEND: Final = "restart the machine; if it is lost again: look at power, heat and slot of the card"

_IN_THE_PROCESSOR: Final = ":00:02.0"
"""Where a processor's own graphics are, on each of Intel's: they are no accelerator."""

_MEMORY_FILES: Final = ("lmem_total_bytes", "prelim_lmem_total_bytes")
"""Only some builds of the driver tell the memory; the size of its window would be a guess."""

_REASONS: Final = {
    "reason_pl1": "power limit",
    "reason_pl2": "power limit",
    "reason_pl4": "power limit",
    "reason_thermal": "temperature (hardware)",
    "reason_prochot": "temperature (hardware)",
    "reason_ratl": "temperature (driver)",
    "reason_vr_thermalert": "temperature (power supply)",
    "reason_vr_tdc": "current limit",
}


class IntelProbe:
    """Sole owner of the cards' counters of energy, which need two looks to tell their power."""

    def __init__(self, root: Path = _SYSTEM, now: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._now = now
        self._counters: dict[str, EnergyCounter] = {}
        self._looking = Looking("Intel's driver", self._look, mend=_MEND)

    async def read(self) -> ProbeReading:
        """One look at every card; a lost one is a `problem`, not an exception."""
        return await self._looking.read()

    def now(self) -> ProbeReading:
        """The same, waited for."""
        return self._looking.now()

    def _look(self) -> ProbeReading:
        devices: list[DeviceReading] = []
        lost: list[DeviceReading] = []
        for device in sysfs.cards(self._root, _DRIVERS):
            bus = sysfs.pairs(device / "uevent", "=").get("PCI_SLOT_NAME", "")
            if bus.endswith(_IN_THE_PROCESSOR):
                continue
            index = len(devices) + len(lost)
            try:
                devices.append(self._read(device, index, bus))
            except DeviceGone as gone:
                lost.append(
                    DeviceReading(index, "intel", "Intel GPU", None, bus, problem=str(gone))
                )
        told = unread(lost, "Intel GPU")
        return ProbeReading(tuple(devices), told, _MEND if lost else "", tuple(lost))

    def _read(self, device: Path, index: int, bus: str) -> DeviceReading:
        sensors = sysfs.hwmon(device)
        told: dict[str, Any] = {
            **sysfs.pcie(device),
            **self._power(sensors, bus),
            **_heat(sensors),
            **_clocks(device),
        }
        driver = sysfs.driver_of(device) or ""
        return DeviceReading(
            index=index,
            kind="intel",
            name=sysfs.pci_name(self._root, device) or "Intel GPU",
            pci_bus=bus or None,
            memory_total_bytes=_memory(device),
            driver_version=sysfs.text(self._root / "sys/module" / driver / "version"),
            **told,
        )

    def _power(self, sensors: Path, bus: str) -> dict[str, Any]:
        counter = self._counters.setdefault(bus, EnergyCounter())
        counter.add(sysfs.millionth(sensors / "energy1_input"), self._now())
        told = sysfs.millionth(sensors / "power1_input")
        limit = sysfs.millionth(sensors / "power1_max")
        return {
            "power_watts": told if told is not None else counter.watts,
            "power_limit_watts": limit or sysfs.millionth(sensors / "power1_cap") or None,
            "power_limit_default_watts": sysfs.millionth(sensors / "power1_rated_max") or None,
            "energy_joules": counter.joules,
        }


def _memory(device: Path) -> int | None:
    places = [folder / name for name in _MEMORY_FILES for folder in (device, device / "drm")]
    tiles = [tile / "physical_vram_size_bytes" for tile in sysfs.folders(device, "tile*")]
    told = [value for file in tiles if (value := sysfs.number(file))]
    if told:
        return sum(told)
    return next((value for file in places if (value := sysfs.number(file))), None)


def _heat(sensors: Path) -> dict[str, Any]:
    labels = {sysfs.text(file): file.name[:5] for file in sensors.glob("temp?_label")}
    chip, memory = labels.get("pkg"), labels.get("vram")
    return {
        "temperature_celsius": _celsius(sensors, chip, "input"),
        "memory_temperature_celsius": _celsius(sensors, memory, "input"),
        "slowdown_celsius": _celsius(sensors, chip, "crit"),
        "shutdown_celsius": _celsius(sensors, chip, "emergency"),
    }


def _celsius(sensors: Path, sensor: str | None, what: str) -> float | None:
    return None if sensor is None else sysfs.thousandth(sensors / f"{sensor}_{what}")


def _clocks(device: Path) -> dict[str, Any]:
    """Of the first computing part: xe tells it below the device, i915 below the card."""
    new, old = (
        device / "tile0/gt0/freq0",
        next(iter(sysfs.folders(device / "drm", "card*")), device),
    )
    now = sysfs.number(new / "act_freq")
    most = sysfs.number(new / "rp0_freq")
    reasons = _throttled_by(new / "throttle", "")
    if reasons is None:
        reasons = _throttled_by(old / "gt/gt0", "throttle_")
    return {
        "sm_clock_mhz": now if now is not None else sysfs.number(old / "gt_act_freq_mhz"),
        "sm_clock_max_mhz": most if most is not None else sysfs.number(old / "gt_RP0_freq_mhz"),
        "throttled_by": reasons,
    }


def _throttled_by(folder: Path, prefix: str) -> tuple[str, ...] | None:
    told = {name: sysfs.number(folder / f"{prefix}{name}") for name in _REASONS}
    if all(value is None for value in told.values()):
        return None
    return tuple(dict.fromkeys(_REASONS[name] for name, value in told.items() if value))

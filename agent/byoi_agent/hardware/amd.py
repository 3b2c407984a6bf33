"""AMD's cards through the files of the Linux driver amdgpu and of its computing side (KFD)."""

from __future__ import annotations

from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.hardware import sysfs
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading, ProbeReading, unread
from byoi_agent.hardware.host import process_name
from byoi_agent.hardware.looking import Looking
from byoi_agent.hardware.sysfs import DeviceGone

if TYPE_CHECKING:
    from collections.abc import Callable

_SYSTEM: Final = Path("/")
_DRIVERS: Final = frozenset({"amdgpu"})
_SMALLEST_BYTES: Final = 1024**3
"""A processor's own graphics hold less than this for their screen: they are no accelerator."""

_MEND: Final = "restart the machine; if it is lost again: look at power, heat and slot of the card"
_NAMES: Final = "usr/share/libdrm/amdgpu.ids"
_HUNDRED: Final = 100


class AmdProbe:
    """Sole owner of nothing but its thread; below `root` lies the system."""

    def __init__(
        self, root: Path = _SYSTEM, name_of: Callable[[int], str | None] = process_name
    ) -> None:
        self._root = root
        self._name_of = name_of
        self._looking = Looking("AMD's driver", self._look, mend=_MEND)

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
            index = len(devices) + len(lost)
            try:
                reading = self._read(device, index)
            except DeviceGone as gone:
                lost.append(self._lost(device, index, str(gone)))
                continue
            if (reading.memory_total_bytes or 0) >= _SMALLEST_BYTES:
                devices.append(reading)
        told = unread(lost, "AMD GPU")
        return ProbeReading(tuple(devices), told, _MEND if lost else "", tuple(lost))

    def _read(self, device: Path, index: int) -> DeviceReading:
        node = self._computing_node(device)
        sensors = sysfs.hwmon(device)
        told: dict[str, Any] = {
            **sysfs.pcie(device),
            **_memory(device),
            **_power(sensors),
            **_heat(sensors),
            **_clocks(device),
            **_errors(device),
        }
        return DeviceReading(
            index=index,
            kind="amd",
            name=self._name(device),
            uuid=sysfs.text(device / "unique_id"),
            pci_bus=_pci_bus(device),
            compute_capability=_target(node),
            driver_version=sysfs.text(self._root / "sys/module/amdgpu/version"),
            utilisation_percent=sysfs.number(device / "gpu_busy_percent"),
            memory_utilisation_percent=sysfs.number(device / "mem_busy_percent"),
            processes=self._processes(node),
            **told,
        )

    def _lost(self, device: Path, index: int, problem: str) -> DeviceReading:
        return DeviceReading(
            index=index, kind="amd", name="AMD GPU", pci_bus=_pci_bus(device), problem=problem
        )

    def _name(self, device: Path) -> str:
        named = sysfs.text(device / "product_name") or self._listed(device)
        return named or sysfs.pci_name(self._root, device) or "AMD GPU"

    def _listed(self, device: Path) -> str | None:
        """The name in libdrm's list, by device and revision: "744C,  C8,  AMD Radeon …"."""
        wanted = [f"{sysfs.number(device / name) or 0:X}" for name in ("device", "revision")]
        for line in (sysfs.text(self._root / _NAMES) or "").splitlines():
            parts = [part.strip() for part in line.split(",", 2)]
            if len(parts) == len(wanted) + 1 and _is_same(parts, wanted):
                return parts[-1]
        return None

    def _computing_node(self, device: Path) -> Path | None:
        """Where KFD tells of the same card: it names the card's render node by its number."""
        minors = {path.name.lstrip(ascii_letters) for path in device.glob("drm/render*")}
        for node in sysfs.folders(self._root / "sys/class/kfd/kfd/topology/nodes", "*"):
            if sysfs.pairs(node / "properties", " ").get("drm_render_minor") in minors:
                return node
        return None

    def _processes(self, node: Path | None) -> tuple[DeviceProcess, ...] | None:
        """Who computes on the card; None where KFD does not run."""
        if node is None or (number := sysfs.text(node / "gpu_id")) is None:
            return None
        found = sorted(
            (int(file.parent.name), sysfs.number(file))
            for file in (self._root / "sys/class/kfd/kfd/proc").glob(f"*/vram_{number}")
        )
        return tuple(DeviceProcess(pid, "compute", self._name_of(pid), used) for pid, used in found)


def _is_same(parts: list[str], wanted: list[str]) -> bool:
    try:
        return [f"{int(part, 16):X}" for part in parts[:-1]] == wanted
    except ValueError:
        return False  # a comment, or the version of the list


def _pci_bus(device: Path) -> str | None:
    return sysfs.pairs(device / "uevent", "=").get("PCI_SLOT_NAME")


def _target(node: Path | None) -> str | None:
    """What compilers call its instructions: 110000 is gfx1100, 90010 gfx90a."""
    number = (
        None if node is None else sysfs.pairs(node / "properties", " ").get("gfx_target_version")
    )
    if not number or not number.isdigit() or not int(number):
        return None
    major, minor, step = int(number) // 10_000, int(number) // 100 % 100, int(number) % 100
    return f"gfx{major}{minor:x}{step:x}"


def _memory(device: Path) -> dict[str, Any]:
    total = sysfs.number(device / "mem_info_vram_total")
    used = sysfs.number(device / "mem_info_vram_used")
    return {
        "memory_total_bytes": total,
        "memory_used_bytes": used,
        "memory_free_bytes": None if total is None or used is None else total - used,
    }


def _power(sensors: Path) -> dict[str, Any]:
    now = sysfs.millionth(sensors / "power1_average")
    return {
        "power_watts": now if now is not None else sysfs.millionth(sensors / "power1_input"),
        "power_limit_watts": sysfs.millionth(sensors / "power1_cap"),
        "power_limit_default_watts": sysfs.millionth(sensors / "power1_cap_default"),
        "power_limit_min_watts": sysfs.millionth(sensors / "power1_cap_min"),
        "power_limit_max_watts": sysfs.millionth(sensors / "power1_cap_max"),
        "energy_joules": sysfs.millionth(sensors / "energy1_input"),
    }


def _heat(sensors: Path) -> dict[str, Any]:
    """Of the hottest place of the chip where it is told (junction), else of its edge."""
    labels = {sysfs.text(file): file.name[:5] for file in sensors.glob("temp?_label")}
    chip = labels.get("junction") or labels.get("edge") or "temp1"
    memory = labels.get("mem")
    speed, most = sysfs.number(sensors / "pwm1"), sysfs.number(sensors / "pwm1_max")
    return {
        "temperature_celsius": sysfs.thousandth(sensors / f"{chip}_input"),
        "memory_temperature_celsius": (
            None if memory is None else sysfs.thousandth(sensors / f"{memory}_input")
        ),
        "slowdown_celsius": sysfs.thousandth(sensors / f"{chip}_crit"),
        "shutdown_celsius": sysfs.thousandth(sensors / f"{chip}_emergency"),
        "fan_percent": None if speed is None or not most else round(_HUNDRED * speed / most),
    }


def _clocks(device: Path) -> dict[str, Any]:
    core, core_most = _steps(device / "pp_dpm_sclk")
    memory, memory_most = _steps(device / "pp_dpm_mclk")
    return {
        "sm_clock_mhz": core,
        "sm_clock_max_mhz": core_most,
        "memory_clock_mhz": memory,
        "memory_clock_max_mhz": memory_most,
    }


def _steps(file: Path) -> tuple[int | None, int | None]:
    """The clock now and the highest, of lines like "1: 1800Mhz *"."""
    steps: dict[int, bool] = {}
    for value in sysfs.pairs(file, ":").values():
        digits = value.lower().partition("mhz")[0].strip()
        if digits.isdigit():
            steps[int(digits)] = steps.get(int(digits), False) or value.endswith("*")
    now = [clock for clock, is_now in steps.items() if is_now]
    return (now[0] if now else None), max(steps, default=None)


def _errors(device: Path) -> dict[str, Any]:
    """Errors of the memory since the driver was loaded, where the card counts them."""
    counts = sysfs.pairs(device / "ras/umc_err_count", ":")
    known = {name: int(value) for name, value in counts.items() if value.isdigit()}
    return {
        "is_ecc_enabled": True if known else None,
        "corrected_ecc_errors": known.get("ce"),
        "uncorrected_ecc_errors": known.get("ue"),  # codespell:ignore ue
    }

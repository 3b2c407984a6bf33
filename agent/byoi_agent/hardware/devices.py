"""One accelerator as plain data: what was read of it, and the part the console is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from byoi_wire.offers import Device

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["nvidia", "amd", "intel", "apple", "cpu"]
ProcessUse = Literal["compute", "graphics", "mps"]


@dataclass(frozen=True)
class DeviceProcess:
    """A program that holds memory of a device; name and memory only where we may see them."""

    pid: int
    use: ProcessUse
    name: str | None = None
    memory_used_bytes: int | None = None


@dataclass(frozen=True)
class MigInstance:
    """A part of a card that is split by MIG: a device to CUDA, under its own `uuid`.

    Slices are sevenths of the card's computing units, of which an H100 has seven.
    """

    index: int
    uuid: str | None = None
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    multiprocessors: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    gpu_slices: int | None = None
    compute_slices: int | None = None


@dataclass(frozen=True)
class NvLink:
    """One NVLink of a card; `bytes_per_second` is the link's own speed in one direction."""

    link: int
    is_active: bool
    version: int | None = None
    peer_pci_bus: str | None = None
    bytes_per_second: int | None = None


@dataclass(frozen=True)
class DeviceReading:
    """One look at one accelerator; a field that it does not report is None, never zero.

    Only the fields of `to_wire` leave this machine. `energy_joules` counts since the driver was
    loaded. Errors of memory (ECC) count since the last reset, or over the card's life.
    """

    index: int
    kind: Kind
    name: str
    uuid: str | None = None
    pci_bus: str | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_bandwidth_bytes_per_second: int | None = None
    """The most that its memory can move: bus width times the highest clock, both edges."""
    is_memory_unified: bool | None = None
    """Whether it shares the machine's own memory."""
    compute_capability: str | None = None
    cores: int | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    utilisation_percent: int | None = None
    memory_utilisation_percent: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    power_limit_default_watts: float | None = None
    power_limit_min_watts: float | None = None
    power_limit_max_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: float | None = None
    memory_temperature_celsius: float | None = None
    slowdown_celsius: float | None = None
    shutdown_celsius: float | None = None
    fan_percent: int | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    throttle_reasons: int | None = None
    """NVML's bits as they are; `throttled_by` says the same in words."""
    throttled_by: tuple[str, ...] | None = None
    performance_state: int | None = None
    """0 is the fastest, 15 the slowest."""
    is_persistent: bool | None = None
    is_ecc_enabled: bool | None = None
    corrected_ecc_errors: int | None = None
    uncorrected_ecc_errors: int | None = None
    corrected_ecc_errors_lifetime: int | None = None
    uncorrected_ecc_errors_lifetime: int | None = None
    retired_pages: int | None = None
    is_page_retirement_pending: bool | None = None
    remapped_rows: int | None = None
    is_row_remap_pending: bool | None = None
    has_row_remap_failed: bool | None = None
    is_mig: bool | None = None
    mig_instances: tuple[MigInstance, ...] | None = None
    parent_uuid: str | None = None
    """Of a MIG instance as a device of its own: the card it is a part of."""
    nvlinks: tuple[NvLink, ...] | None = None
    processes: tuple[DeviceProcess, ...] | None = None
    problem: str | None = None
    """Why nothing else could be read of it."""

    def to_wire(self) -> Device:
        """The part of it that is advertised."""
        return Device(
            index=self.index,
            kind=self.kind,
            name=self.name,
            memory_total_bytes=self.memory_total_bytes,
            memory_used_bytes=self.memory_used_bytes,
            compute_capability=self.compute_capability,
            driver_version=self.driver_version,
            power_limit_watts=self.power_limit_watts,
        )

    def silent(self, problem: str) -> DeviceReading:
        """What is still known of it while it does not answer: who it is, not how it is."""
        return DeviceReading(
            index=self.index,
            kind=self.kind,
            name=self.name,
            uuid=self.uuid,
            pci_bus=self.pci_bus,
            problem=problem,
        )

    def usable(self) -> tuple[DeviceReading, ...]:
        """What a program can be given: the card, or each of its parts where MIG splits it.

        A part's power and energy are None: those of the card are the whole card's.
        """
        if not self.is_mig:
            return (self,)
        return tuple(self._part(instance) for instance in self.mig_instances or ())

    def for_engine(self) -> DeviceReading | None:
        """What one engine can be given of it: all, or the largest part, as CUDA takes one of them.

        None for a card in MIG mode that was not split yet.
        """
        return max(self.usable(), key=lambda one: one.memory_total_bytes or 0, default=None)

    def _part(self, instance: MigInstance) -> DeviceReading:
        total, used = instance.memory_total_bytes, instance.memory_used_bytes
        return DeviceReading(
            index=self.index,
            kind=self.kind,
            name=instance.name or self.name,
            uuid=instance.uuid,
            parent_uuid=self.uuid,
            pci_bus=self.pci_bus,
            memory_total_bytes=total,
            memory_used_bytes=used,
            memory_free_bytes=None if total is None or used is None else total - used,
            compute_capability=self.compute_capability,
            driver_version=self.driver_version,
            cuda_version=self.cuda_version,
        )


@dataclass(frozen=True)
class ProbeReading:
    """One look at all accelerators of this machine, or of one kind.

    `problem` says in a sentence what could not be read although there seems to be something; then
    `lost` holds the devices that are known to be there and do not answer, and `devices` those that
    do. Without devices and without a problem there are none.
    """

    devices: tuple[DeviceReading, ...] = ()
    problem: str | None = None
    mend: str = ""
    lost: tuple[DeviceReading, ...] = ()

    def usable(self) -> tuple[DeviceReading, ...]:
        """What programs can be given: cards, and the parts of those that MIG splits."""
        return tuple(part for device in self.devices for part in device.usable())

    def from_index(self, first: int) -> ProbeReading:
        """The same devices, counted from `first`: two kinds in one machine share the numbers."""
        return replace(
            self,
            devices=tuple(replace(one, index=one.index + first) for one in self.devices),
            lost=tuple(replace(one, index=one.index + first) for one in self.lost),
        )


def unread(lost: Iterable[DeviceReading], word: str = "GPU") -> str | None:
    """The `problem` of devices that do not answer: a sentence for all that have the same one."""
    places: dict[str | None, list[str]] = {}
    for one in lost:
        place = f" ({one.pci_bus})" if one.pci_bus else ""
        places.setdefault(one.problem, []).append(f"{one.index}{place}")
    told = [f"{_named(word, them)} cannot be read: {why}" for why, them in places.items()]
    return "; ".join(told) or None


def _named(word: str, places: list[str]) -> str:
    *first, last = places
    return f"{word}s {', '.join(first)} and {last}" if first else f"{word} {last}"


@dataclass(frozen=True)
class Holder:
    """A process that holds memory of a GPU; `is_graphical` if it draws, whatever else it does."""

    gpu: int
    pid: int
    memory_bytes: int | None = None
    is_graphical: bool = False


@dataclass(frozen=True)
class GpuUses:
    """One look. `used_bytes` of each GPU's memory, by its number; None where it is not told."""

    holders: tuple[Holder, ...] = ()
    used_bytes: Mapping[int, int | None] = field(default_factory=dict)

"""One accelerator as plain data: what was read of it, and the part the console is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byoi_wire.offers import Device

Kind = Literal["nvidia", "amd", "intel", "apple", "cpu"]


@dataclass(frozen=True)
class DeviceReading:
    """One look at one accelerator; a field that it does not report is None, never zero.

    `uuid`, `pci_bus` and the processes' memory stay on this machine: the console has no use for
    them. `energy_joules` counts since the driver was loaded.
    """

    index: int
    kind: Kind
    name: str
    uuid: str | None = None
    pci_bus: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    compute_capability: str | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    utilisation_percent: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: float | None = None
    slowdown_celsius: float | None = None
    sm_clock_mhz: int | None = None
    throttle_reasons: int | None = None
    uncorrected_ecc_errors: int | None = None
    is_mig: bool | None = None
    process_memory_bytes: tuple[tuple[int, int | None], ...] | None = None
    """(process id, bytes) of each compute process."""

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


@dataclass(frozen=True)
class ProbeReading:
    """One look at all accelerators of one kind.

    `problem` says in a sentence why they could not be read although there seem to be some; without
    devices and without a problem the machine has none.
    """

    devices: tuple[DeviceReading, ...] = ()
    problem: str | None = None
    mend: str = ""

"""All that NVML tells of the cards of a machine, as plain data."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.hardware import host
from byoi_agent.hardware.devices import DeviceReading, ProbeReading, unread
from byoi_agent.hardware.nvml_card import CardLost, Foreign, NvmlCard, as_text, optional
from byoi_agent.hardware.nvml_parts import read_instances, read_memory, read_nvlinks, read_processes
from byoi_agent.hardware.nvml_words import throttled_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNIFIED: Final = ("GB10", "Orin", "Xavier", "Thor")
"""Chips whose GPU computes in the machine's memory (DGX Spark, Jetson)."""

_EDGES: Final = 2
_BITS_IN_A_BYTE: Final = 8
_UNKNOWN_STATE: Final = 32
"""NVML_PSTATE_UNKNOWN."""


def read_cards(
    nvml: Foreign,
    known: Mapping[int, DeviceReading],
    name_of: Callable[[int], str | None],
) -> ProbeReading:
    """Look at each card; one that does not answer hides none of the others.

    `known` are the cards of earlier looks, `name_of` tells a process' name. Raises NVML's own error
    when the driver itself is lost.
    """
    system = _system(nvml)
    devices: list[DeviceReading] = []
    lost: list[DeviceReading] = []
    mends: dict[str, None] = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            devices.append(_read(NvmlCard.at(nvml, index), index, system, name_of))
        except CardLost as loss:
            lost.append(_lost(nvml, index, known.get(index), str(loss)))
            mends[loss.mend] = None
    return ProbeReading(tuple(devices), unread(lost), "; ".join(mends), tuple(lost))


def _system(nvml: Foreign) -> dict[str, str | None]:
    cuda = optional(nvml, "nvmlSystemGetCudaDriverVersion_v2")
    return {
        "driver_version": as_text(optional(nvml, "nvmlSystemGetDriverVersion")),
        "cuda_version": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
    }


def _read(
    card: NvmlCard,
    index: int,
    system: Mapping[str, str | None],
    name_of: Callable[[int], str | None],
) -> DeviceReading:
    told: dict[str, Any] = {
        **_identity(card),
        **system,
        **_pcie(card),
        **_memory(card),
        **_computing(card),
        **_power(card),
        **_heat(card),
        **_clocks(card),
        **_errors(card),
    }
    mig = card.ask("nvmlDeviceGetMigMode")
    return DeviceReading(
        index=index,
        kind="nvidia",
        is_mig=None if mig is None else bool(mig[0]),
        mig_instances=read_instances(card) if mig is not None and mig[0] else None,
        nvlinks=read_nvlinks(card),
        processes=read_processes(card, name_of),
        **told,
    )


def _lost(nvml: Foreign, index: int, known: DeviceReading | None, problem: str) -> DeviceReading:
    if known is not None:
        return known.silent(problem)
    identity: dict[str, Any] = {"name": "NVIDIA GPU"}
    with suppress(CardLost):
        identity = _identity(NvmlCard.at(nvml, index))
    return DeviceReading(index=index, kind="nvidia", problem=problem, **identity)


def _identity(card: NvmlCard) -> dict[str, Any]:
    pci = card.ask("nvmlDeviceGetPciInfo")
    return {
        "name": card.text("nvmlDeviceGetName") or "NVIDIA GPU",
        "uuid": card.text("nvmlDeviceGetUUID"),
        "pci_bus": None if pci is None else as_text(pci.busId),
    }


def _memory(card: NvmlCard) -> dict[str, Any]:
    """The card's own; the machine's where the chip shares it, of which NVML tells nothing."""
    told = read_memory(card)
    name = card.text("nvmlDeviceGetName") or ""
    if told["memory_total_bytes"] is not None or not any(chip in name for chip in _UNIFIED):
        return told
    shared = host.read_memory()
    return {
        "memory_total_bytes": shared.total_bytes,
        "memory_used_bytes": shared.used_bytes,
        "memory_free_bytes": shared.free_bytes,
        "is_memory_unified": True,
    }


def _pcie(card: NvmlCard) -> dict[str, Any]:
    return {
        "pcie_generation": card.number("nvmlDeviceGetCurrPcieLinkGeneration"),
        "pcie_generation_max": card.number("nvmlDeviceGetMaxPcieLinkGeneration"),
        "pcie_width": card.number("nvmlDeviceGetCurrPcieLinkWidth"),
        "pcie_width_max": card.number("nvmlDeviceGetMaxPcieLinkWidth"),
    }


def _computing(card: NvmlCard) -> dict[str, Any]:
    capability = card.ask("nvmlDeviceGetCudaComputeCapability")
    busy = card.ask("nvmlDeviceGetUtilizationRates")
    return {
        "compute_capability": None if capability is None else f"{capability[0]}.{capability[1]}",
        "cores": card.number("nvmlDeviceGetNumGpuCores"),
        "utilisation_percent": None if busy is None else busy.gpu,
        "memory_utilisation_percent": None if busy is None else busy.memory,
    }


def _power(card: NvmlCard) -> dict[str, Any]:
    bounds = card.ask("nvmlDeviceGetPowerManagementLimitConstraints") or (None, None)
    persistent = card.flag("nvmlDeviceGetPersistenceMode")
    return {
        "power_watts": _thousandth(card.number("nvmlDeviceGetPowerUsage")),
        "power_limit_watts": _thousandth(card.number("nvmlDeviceGetEnforcedPowerLimit")),
        "power_limit_default_watts": _thousandth(
            card.number("nvmlDeviceGetPowerManagementDefaultLimit")
        ),
        "power_limit_min_watts": _thousandth(bounds[0]),
        "power_limit_max_watts": _thousandth(bounds[1]),
        "energy_joules": _thousandth(card.number("nvmlDeviceGetTotalEnergyConsumption")),
        "is_persistent": persistent,
    }


def _heat(card: NvmlCard) -> dict[str, Any]:
    limit = "nvmlDeviceGetTemperatureThreshold"
    (memory,) = card.fields("NVML_FI_DEV_MEMORY_TEMP")
    now = card.number("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU")
    if now is None:  # drivers for CUDA 14 do without the older call
        now = card.number("nvmlDeviceGetTemperatureV", "NVML_TEMPERATURE_GPU")
    return {
        "temperature_celsius": now,
        # Cards without the sensor are known to answer with success and 0.
        "memory_temperature_celsius": memory or None,
        "slowdown_celsius": card.number(limit, "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"),
        "shutdown_celsius": card.number(limit, "NVML_TEMPERATURE_THRESHOLD_SHUTDOWN"),
        "fan_percent": card.number("nvmlDeviceGetFanSpeed"),
    }


def _clocks(card: NvmlCard) -> dict[str, Any]:
    now, most = "nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo"
    memory_most = card.number(most, "NVML_CLOCK_MEM")
    bus_bits = card.number("nvmlDeviceGetMemoryBusWidth")
    reasons = card.number("nvmlDeviceGetCurrentClocksEventReasons")
    if reasons is None:  # its name before driver 535
        reasons = card.number("nvmlDeviceGetCurrentClocksThrottleReasons")
    state = card.number("nvmlDeviceGetPerformanceState")
    return {
        "sm_clock_mhz": card.number(now, "NVML_CLOCK_SM"),
        "sm_clock_max_mhz": card.number(most, "NVML_CLOCK_SM"),
        "memory_clock_mhz": card.number(now, "NVML_CLOCK_MEM"),
        "memory_clock_max_mhz": memory_most,
        "memory_bandwidth_bytes_per_second": _bandwidth(bus_bits, memory_most),
        "throttle_reasons": reasons,
        "throttled_by": None if reasons is None else throttled_by(reasons),
        "performance_state": None if state == _UNKNOWN_STATE else state,
    }


def _errors(card: NvmlCard) -> dict[str, Any]:
    count = "nvmlDeviceGetTotalEccErrors"
    corrected = "NVML_MEMORY_ERROR_TYPE_CORRECTED"
    uncorrected = "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"
    since_reset, ever = "NVML_VOLATILE_ECC", "NVML_AGGREGATE_ECC"
    mode = card.ask("nvmlDeviceGetEccMode")
    rows = card.ask("nvmlDeviceGetRemappedRows")
    return {
        "is_ecc_enabled": None if mode is None else bool(mode[0]),
        "corrected_ecc_errors": card.number(count, corrected, since_reset),
        "uncorrected_ecc_errors": card.number(count, uncorrected, since_reset),
        "corrected_ecc_errors_lifetime": card.number(count, corrected, ever),
        "uncorrected_ecc_errors_lifetime": card.number(count, uncorrected, ever),
        "retired_pages": _retired(card),
        "is_page_retirement_pending": card.flag("nvmlDeviceGetRetiredPagesPendingStatus"),
        "remapped_rows": None if rows is None else rows[0] + rows[1],
        "is_row_remap_pending": None if rows is None else bool(rows[2]),
        "has_row_remap_failed": None if rows is None else bool(rows[3]),
    }


def _retired(card: NvmlCard) -> int | None:
    """Pages taken out of use, for either cause; cards since Ampere remap rows instead."""
    causes = (
        "NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS",
        "NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR",
    )
    pages = [card.ask("nvmlDeviceGetRetiredPages", cause) for cause in causes]
    return None if None in pages else sum(len(found) for found in pages)


def _bandwidth(bus_bits: int | None, clock_mhz: int | None) -> int | None:
    """Bytes a second: NVML tells the clock of which memory uses both edges (HBM and GDDR)."""
    if not bus_bits or not clock_mhz:
        return None
    return bus_bits * _EDGES * clock_mhz * 1_000_000 // _BITS_IN_A_BYTE


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000

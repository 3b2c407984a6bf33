"""What a card has several of: memory's kinds, MIG instances, NVLinks, processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from byoi_agent.hardware.devices import DeviceProcess, MigInstance, NvLink
from byoi_agent.hardware.nvml_card import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.hardware.devices import ProcessUse
    from byoi_agent.hardware.nvml_card import Foreign, NvmlCard

_MOST_LINKS: Final = 36
"""NVML_NVLINK_MAX_LINKS of the newest driver known; older ones refuse the higher numbers."""

_PROCESSES: Final[tuple[tuple[ProcessUse, str], ...]] = (
    ("mps", "nvmlDeviceGetMPSComputeRunningProcesses"),
    ("compute", "nvmlDeviceGetComputeRunningProcesses"),
    ("graphics", "nvmlDeviceGetGraphicsRunningProcesses"),
)
"""A process that is in several lists is shown with the first: clients of MPS also compute."""

_MEBIBYTE: Final = 1024**2


def read_memory(card: NvmlCard) -> dict[str, Any]:
    """Total, used, reserved and free bytes."""
    # Version 2 tells what the driver reserves from what is used; drivers before 510 lack it.
    memory = card.ask("nvmlDeviceGetMemoryInfo", "nvmlMemory_v2")
    if memory is None:
        memory = card.ask("nvmlDeviceGetMemoryInfo")
    return {
        "memory_total_bytes": getattr(memory, "total", None),
        "memory_used_bytes": getattr(memory, "used", None),
        "memory_reserved_bytes": getattr(memory, "reserved", None),
        "memory_free_bytes": getattr(memory, "free", None),
    }


def read_instances(card: NvmlCard) -> tuple[MigInstance, ...]:
    """The parts that a card in MIG mode is split into; none until somebody makes them."""
    most = card.number("nvmlDeviceGetMaxMigDeviceCount") or 0
    parts = ((index, card.part(index)) for index in range(most))
    return tuple(_instance(index, part) for index, part in parts if part is not None)


def _instance(index: int, part: NvmlCard) -> MigInstance:
    memory = read_memory(part)
    slices = part.ask("nvmlDeviceGetAttributes_v2")
    total = memory["memory_total_bytes"]
    if total is None and slices is not None:
        total = slices.memorySizeMB * _MEBIBYTE
    return MigInstance(
        index=index,
        uuid=part.text("nvmlDeviceGetUUID"),
        name=part.text("nvmlDeviceGetName"),
        memory_total_bytes=total,
        memory_used_bytes=memory["memory_used_bytes"],
        multiprocessors=getattr(slices, "multiprocessorCount", None),
        gpu_instance=part.number("nvmlDeviceGetGpuInstanceId"),
        compute_instance=part.number("nvmlDeviceGetComputeInstanceId"),
        gpu_slices=getattr(slices, "gpuInstanceSliceCount", None),
        compute_slices=getattr(slices, "computeInstanceSliceCount", None),
    )


def read_nvlinks(card: NvmlCard) -> tuple[NvLink, ...] | None:
    """Each link of the card; None for one that has none."""
    states: list[bool] = []
    while len(states) < _MOST_LINKS:
        active = card.ask("nvmlDeviceGetNvLinkState", len(states))
        if active is None:
            break  # the first number beyond the card's links
        states.append(bool(active))
    if not states:
        return None
    speeds = card.fields("NVML_FI_DEV_NVLINK_GET_SPEED", tuple(range(len(states))))
    return tuple(
        _link(card, link, active, speed)
        for link, (active, speed) in enumerate(zip(states, speeds, strict=True))
    )


def _link(card: NvmlCard, link: int, is_active: bool, megabytes: int | None) -> NvLink:
    if not is_active:
        return NvLink(link, is_active=False)
    peer = card.ask("nvmlDeviceGetNvLinkRemotePciInfo", link)
    return NvLink(
        link,
        is_active=True,
        version=card.number("nvmlDeviceGetNvLinkVersion", link),
        peer_pci_bus=None if peer is None else as_text(peer.busId),
        bytes_per_second=None if not megabytes else megabytes * 1_000_000,
    )


def read_processes(
    card: NvmlCard, name_of: Callable[[int], str | None]
) -> tuple[DeviceProcess, ...] | None:
    """Who holds memory of the card; None where the driver tells nobody."""
    lists = [(use, card.ask(call)) for use, call in _PROCESSES]
    if all(found is None for _, found in lists):
        return None
    seen: dict[int, DeviceProcess] = {}
    for use, found in lists:
        for process in found or ():
            if process.pid not in seen:
                seen[process.pid] = _process(process, use, name_of)
    return tuple(sorted(seen.values(), key=lambda one: one.pid))


def _process(
    process: Foreign, use: ProcessUse, name_of: Callable[[int], str | None]
) -> DeviceProcess:
    return DeviceProcess(process.pid, use, name_of(process.pid), process.usedGpuMemory)

"""Devices as people read them: a row for each, and below it what is worth knowing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from byoi_agent.cli.status_view import memory_of, printable
from byoi_agent.sizes import in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.hardware.host import Surroundings

_GIGA: Final = 1e9
_UNKNOWN: Final = "-"
_CALM: Final = frozenset({"idle"})
"""What holds clocks down and needs nobody's attention."""

_MOST_PROCESSES: Final = 6


def devices_view(
    devices: Sequence[DeviceReading], around: Surroundings, problem: str | None = None
) -> RenderableType:
    """The whole machine, 80 columns wide at the most where names are not longer.

    The problem comes before the details: a terminal with many cards cuts off what is last.
    """
    parts: list[RenderableType] = [_table(devices)] if devices else []
    if problem is not None:
        parts.append(Text.assemble("\n", ("warning", "yellow"), f"  {problem}"))
    links = {_nvlinks(device) for device in devices if device.nvlinks is not None}
    for device in devices:
        lines = list(lines_of(device))
        if len(links) > 1 and device.nvlinks is not None:
            lines.append(("NVLink", _nvlinks(device)))
        if lines:
            parts.append(Text(f"\n{device.index}  {printable(device.name)}", style="bold"))
            parts.append(Padding(_grid(lines), (0, 0, 0, 3)))
    lines = [("NVLink", link) for link in links] if len(links) == 1 else []
    if lines := [*lines, *_machine(devices, around)]:
        parts += [Text(), _grid(lines)]
    return Group(*parts)


def _table(devices: Sequence[DeviceReading]) -> Table:
    table = Table("#", box=None, pad_edge=False)
    table.add_column("device", overflow="fold")  # a name that is cut off names nothing
    for name in ("memory", "busy", "power", "heat", "clock"):
        table.add_column(name, justify="right", no_wrap=True)
    for device in devices:
        name = device.name if device.problem is None else f"{device.name} ({device.problem})"
        table.add_row(
            str(device.index),
            Text(printable(name)),
            memory_of(device.memory_used_bytes, device.memory_total_bytes),
            _figure(device.utilisation_percent, "{} %"),
            power_of(device),
            _figure(device.temperature_celsius, "{:.0f} °C"),
            _figure(device.sm_clock_mhz, "{} MHz"),
        )
    return table


def _grid(lines: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines:
        grid.add_row(name, Text(printable(text)))
    return grid


def lines_of(device: DeviceReading) -> Iterator[tuple[str, str]]:
    """What else is worth knowing of a device; nothing that it does not report."""
    slowed = [word for word in device.throttled_by or () if word not in _CALM]
    if slowed:
        yield "slowed by", ", ".join(slowed)
    if errors := ", ".join(_errors(device)):
        yield "errors", errors
    if bus := _bus(device):
        yield "bus", bus
    for part in device.mig_instances or ():
        name = part.name or f"instance {part.index}"
        memory = memory_of(part.memory_used_bytes, part.memory_total_bytes)
        yield f"part {part.index}", f"{name}, {memory}, {part.uuid or 'no name'}"
    if device.is_mig and not device.mig_instances:
        yield "parts", "none yet: MIG is on, and nothing can use the card until they are made"
    if processes := ", ".join(_processes(device)):
        yield "used by", processes


def power_of(device: DeviceReading) -> str:
    """Watts now of those that it may draw."""
    if device.power_watts is None:
        return _UNKNOWN
    if device.power_limit_watts is None:
        return f"{device.power_watts:.0f} W"
    return f"{device.power_watts:.0f} of {device.power_limit_watts:.0f} W"


def _figure(value: float | None, form: str) -> str:
    return _UNKNOWN if value is None else form.format(value)


def _errors(device: DeviceReading) -> Iterator[str]:
    if device.uncorrected_ecc_errors:
        yield f"{device.uncorrected_ecc_errors} uncorrected in memory since the last reset"
    if device.has_row_remap_failed:
        yield "a row of memory could not be replaced: have the card exchanged"
    if device.is_row_remap_pending or device.is_page_retirement_pending:
        yield "bad memory is taken out of use at the next reset: restart the machine"


def _bus(device: DeviceReading) -> str:
    """Only where fewer lanes are in use than card and slot have: an idle card slows its own."""
    if not device.pcie_width or not device.pcie_width_max:
        return ""
    if device.pcie_width >= device.pcie_width_max:
        return ""
    return f"PCIe x{device.pcie_width} of x{device.pcie_width_max}: look at the slot"


def _nvlinks(device: DeviceReading) -> str:
    links = device.nvlinks or ()
    active = [link for link in links if link.is_active]
    speeds = [link.bytes_per_second for link in active]
    known = [speed for speed in speeds if speed is not None]
    told = f"{len(active)} of {len(links)} links of a card active"
    if known and len(known) == len(speeds):
        told += f", {sum(known) / _GIGA:.0f} GB/s each way"
    return told


def _processes(device: DeviceReading) -> Iterator[str]:
    processes = device.processes or ()
    for process in processes[:_MOST_PROCESSES]:
        used = process.memory_used_bytes
        memory = "" if used is None else f" {in_memory(used)}"
        yield f"{process.name or 'a process'} ({process.pid}){memory}"
    if len(processes) > _MOST_PROCESSES:
        yield f"{len(processes) - _MOST_PROCESSES} more"


def _machine(devices: Sequence[DeviceReading], around: Surroundings) -> Iterator[tuple[str, str]]:
    for version in dict.fromkeys(device.driver_version for device in devices):
        if version is not None:
            cuda = next(one.cuda_version for one in devices if one.driver_version == version)
            yield "driver", version if cuda is None else f"{version}, CUDA up to {cuda}"
    if around.battery_percent is not None:
        mains = "" if around.is_on_mains is None else f", {_mains(around.is_on_mains)}"
        yield "battery", f"{around.battery_percent:.0f} %{mains}"
    if around.network_megabits is not None:
        yield "network", f"{around.network_megabits} Mbit/s"


def _mains(is_on_mains: bool) -> str:
    return "on mains" if is_on_mains else "discharging"

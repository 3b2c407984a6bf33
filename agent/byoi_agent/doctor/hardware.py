"""The machine: memory, accelerators, drivers, and whether the node's account sees them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import failed, ok, warned
from byoi_agent.hardware.host import in_container, read_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient
    from byoi_agent.hardware.devices import ProbeReading

_GIB: Final = 2**30
_LEAST_FREE_BYTES: Final = _GIB
_LEAST_FILES: Final = 4096

_PCI: Final = Path("/sys/bus/pci/devices")
_DEVICES: Final = Path("/dev")
_DEVICE_FILES: Final = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm", "kfd")
_DISPLAY: Final = "0x03"
"""First byte of a PCI class: display controllers, which GPUs for computing are as well."""

_MAKERS: Final = {"0x10de": "NVIDIA", "0x1002": "AMD"}

_MENDS: Final = {
    "NVIDIA": "install NVIDIA's driver (Debian, Ubuntu: sudo apt install nvidia-driver), restart, "
    "and see whether nvidia-smi shows the card",
    "AMD": "load the driver amdgpu (sudo modprobe amdgpu), or install AMD's",
}

_RIGHTS_MEND: Final = (
    "give it the groups of the GPU: sudo usermod -aG video,render ACCOUNT; then sign in again, or "
    "restart the service"
)
_CONTAINER_MEND: Final = "give the container the card (docker run --gpus all, or --device)"


async def check(patient: Patient) -> list[Finding]:
    """Memory, limits, and each accelerator."""
    reading = await patient.probe.read()
    own = await asyncio.to_thread(lambda: [_memory(), *_files(), *_devices(reading), *_rights()])
    return [*own, *account(patient, reading)]


def cards(folder: Path = _PCI) -> dict[str, int]:
    """How many GPUs of each maker are plugged in, whether or not a driver has them (Linux)."""
    found: dict[str, int] = {}
    for device in sorted(folder.glob("*")):
        maker = _MAKERS.get(_text(device / "vendor"))
        if maker is not None and _text(device / "class").startswith(_DISPLAY):
            found[maker] = found.get(maker, 0) + 1
    return found


def _memory() -> Finding:
    name, title = "memory", "Memory"
    use = read_memory()
    told = f"{use.free_bytes / _GIB:.1f} of {use.total_bytes / _GIB:.1f} GiB available"
    if use.free_bytes < _LEAST_FREE_BYTES:
        return warned(name, title, told, "close something large, or serve a smaller model")
    return ok(name, title, told)


def _files() -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 there is none on Windows

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    name, title = "files", "Open files"
    if 0 <= most < _LEAST_FILES:
        mend = f"raise it: ulimit -n {_LEAST_FILES}; of a service: LimitNOFILE={_LEAST_FILES}"
        yield warned(name, title, f"this account may open {most} files", mend)
    else:
        yield ok(name, title, f"{most} may be open" if most >= 0 else "no limit")


def _devices(reading: ProbeReading) -> Iterator[Finding]:
    name, title = "driver", "Accelerators"
    for device in reading.lost:
        yield failed(
            name,
            title,
            f"{device.name} does not answer: {device.problem}",
            "see the system's log (sudo dmesg), restart the machine if it stays so",
        )
    if reading.problem is not None:
        yield failed(name, title, reading.problem, reading.mend)
        return
    accelerators = [device for device in reading.devices if device.kind != "cpu"]
    kinds = {device.kind for device in accelerators}
    without = [maker for maker in cards() if maker.lower() not in kinds]
    for maker in without:
        text = f"an {maker} card is there, and no driver that this account can use"
        yield failed(name, title, text, _CONTAINER_MEND if in_container() else _MENDS[maker])
    if accelerators:
        yield ok(name, title, ", ".join(device.name for device in accelerators))
    elif not without:
        yield ok(name, title, "none: models run on the processor")


def _rights() -> Iterator[Finding]:
    """The files by which drivers are asked may be for some groups only."""
    if shut := closed():
        text = f"this account may not use {', '.join(map(str, shut))}"
        yield failed("permission", "Rights", text, _RIGHTS_MEND)


def closed(folder: Path = _DEVICES) -> list[Path]:
    """Devices of a driver for computing that this account may not open (Linux)."""
    known = sorted(path for pattern in _DEVICE_FILES for path in folder.glob(pattern))
    return [path for path in known if not os.access(path, os.R_OK | os.W_OK)]


def account(patient: Patient, reading: ProbeReading) -> Iterator[Finding]:
    """A service may not see what the person at the machine sees: other groups, session 0."""
    name, title = "account", "The node's account"
    if patient.node is None or patient.node.accelerators is None:
        return
    here = sum(1 for device in reading.devices if device.kind != "cpu")
    there = patient.node.accelerators
    if there >= here:
        yield ok(name, title, f"sees all {here} accelerators" if here else "sees what you see")
        return
    groups = "give its account the groups video and render: sudo usermod -aG video,render byoi"
    mend = (
        f"{groups}; then restart the service"
        if sys.platform == "linux"
        else ("run the service under an account that may use the GPU, then restart it")
    )
    yield failed(name, title, f"sees {there} of {here} accelerators", mend)


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""

"""What Linux' drivers tell in files: numbers and words, None where there is no such file."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_GONE: Final = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO})
_GENERATIONS: Final = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
"""Of PCI Express, by gigatransfers a second."""

_LISTS_OF_NAMES: Final = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")


class DeviceGone(Exception):
    """The device behind the files does not answer; others may."""


def text(file: Path) -> str | None:
    """What a file says; None where there is none, or this driver has nothing to say in it.

    Raises:
        DeviceGone: the device has fallen off its bus.
    """
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError as error:
        if error.errno in _GONE:
            raise DeviceGone(error.strerror) from error
        return None  # not offered, not permitted, or asleep


def number(file: Path) -> int | None:
    """The number that a file holds, decimal or with 0x."""
    said = text(file)
    try:
        return None if said is None else int(said, 0)
    except ValueError:
        return None


def millionth(file: Path) -> float | None:
    """Of microwatts and microjoules: watts and joules."""
    value = number(file)
    return None if value is None else value / 1_000_000


def thousandth(file: Path) -> float | None:
    """Of thousandths of a degree: degrees Celsius."""
    value = number(file)
    return None if value is None else value / 1000


def pairs(file: Path, separator: str) -> dict[str, str]:
    """A file with a name and a value on each line."""
    lines = (line.partition(separator) for line in (text(file) or "").splitlines())
    return {name.strip(): value.strip() for name, _, value in lines if value.strip()}


def folders(parent: Path, pattern: str) -> Iterator[Path]:
    """What matches, in the order of its numbers: card2 before card10."""
    yield from sorted(parent.glob(pattern), key=lambda path: (len(path.name), path.name))


def cards(root: Path, drivers: frozenset[str]) -> Iterator[Path]:
    """The device of each graphics card that one of these drivers runs."""
    for card in folders(root / "sys/class/drm", "card*"):
        if card.name[4:].isdigit() and driver_of(card / "device") in drivers:
            yield card / "device"


def driver_of(device: Path) -> str | None:
    """The kernel's module that runs a device."""
    return pairs(device / "uevent", "=").get("DRIVER")


def hwmon(device: Path) -> Path:
    """The folder of a device's sensors; one that does not exist where it has none."""
    return next(folders(device / "hwmon", "hwmon*"), device / "hwmon")


def pcie(device: Path) -> dict[str, int | None]:
    """The link to the machine: what it runs at, and what it could."""
    return {
        "pcie_generation": _generation(device / "current_link_speed"),
        "pcie_generation_max": _generation(device / "max_link_speed"),
        "pcie_width": number(device / "current_link_width") or None,
        "pcie_width_max": number(device / "max_link_width") or None,
    }


def _generation(file: Path) -> int | None:
    return _GENERATIONS.get((text(file) or "").partition(" ")[0])


def pci_name(root: Path, device: Path) -> str | None:
    """What the machine's own list of PCI names calls a device."""
    vendor, _, model = pairs(device / "uevent", "=").get("PCI_ID", "").lower().partition(":")
    for place in _LISTS_OF_NAMES:
        try:
            with (root / place).open(encoding="utf-8", errors="replace") as lines:
                return _named(lines, vendor, model)
        except OSError:
            continue
    return None


def _named(lines: Iterator[str], vendor: str, model: str) -> str | None:
    is_ours = False
    for line in lines:
        if not line.startswith(("\t", "#")):
            is_ours = line.startswith(f"{vendor} ")
        elif is_ours and line.startswith(f"\t{model} "):
            return line[len(model) + 1 :].strip()
    return None

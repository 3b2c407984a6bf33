"""Builds the stand-in for NVIDIA's library, and writes the machines that it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml.c")
SONAME = "libnvidia-ml.so.1"
VARIABLE = "FAKE_NVML"
"""Not one of byoi's own, which tests take away."""
DRIVER = "575.51.03"
GIB = 1024**3

LOST, RESET_REQUIRED, DENIED, UNSUPPORTED = 15, 16, 4, 3


def build(folder: Path, *, driver: str = DRIVER, is_old: bool = False) -> Path:
    """Compile it into `folder`; returns the folder, for LD_LIBRARY_PATH.

    A machine without a compiler fails here: nothing else exercises nvidia-ml-py itself.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    assert compiler, "tests of the probe need a C compiler: apt install gcc"
    folder.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-std=c11", "-D_DEFAULT_SOURCE", "-O1"]
    # Without a soname: once loaded into a test's process, it would be taken for the real one there.
    command += ["-shared", "-fPIC", f'-DVERSION="{driver}"']
    command += ["-DOLD"] if is_old else []
    beside = folder / f"{SONAME}.new"  # a process that has it open goes on with the one before
    done = subprocess.run(
        [*command, "-o", str(beside), str(SOURCE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    beside.replace(folder / SONAME)
    return folder


class Machine:
    """What the stand-in shows: one file, which a test changes while it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[str, object] = {}

    def shows(self, *parts: dict[str, object]) -> Machine:
        """Begin anew with these lines."""
        self.lines = {key: value for part in parts for key, value in part.items()}
        return self._write()

    def change(self, **lines: object) -> Machine:
        return self.set(lines)

    def set(self, lines: dict[str, object]) -> Machine:
        """Add or replace lines; None takes one away."""
        self.lines = {k: v for k, v in (self.lines | lines).items() if v is not None}
        return self._write()

    def lose(self, card: int, code: int = LOST) -> Machine:
        return self.set({f"{card}.!": code})

    def find(self, card: int) -> Machine:
        return self.set({f"{card}.!": None})

    @property
    def limits_set(self) -> list[tuple[int, int]]:
        """Each power limit that was set: card and milliwatts, oldest first."""
        file = Path(f"{self.file}.set")
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(card), int(value)) for card, value in map(str.split, lines)]

    def forget_limits(self) -> Machine:
        """As a driver does that is loaded anew."""
        Path(f"{self.file}.set").unlink(missing_ok=True)
        return self

    def environment(self, library: Path) -> dict[str, str]:
        """For a program that is to see this machine."""
        return {**os.environ, **self.variables(library)}

    def variables(self, library: Path) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(library), VARIABLE: str(self.file)}

    def _write(self) -> Machine:
        beside = self.file.with_suffix(".new")
        beside.write_text("".join(f"{key} {value}\n" for key, value in self.lines.items()))
        beside.replace(self.file)
        return self


def driver(count: int, *, version: str = DRIVER, cuda: int | None = 12090) -> dict[str, object]:
    found: dict[str, object] = {"kernel": version, "count": count}
    return found | ({} if cuda is None else {"cuda": cuda})


def server(count: int = 8, pid: int | None = None) -> dict[str, object]:
    """H100s joined by NVLink, ECC on, MIG off; the first two in use by `pid`."""
    lines = driver(count) | {
        "*.name": "NVIDIA H100 80GB HBM3",
        "*.pcie_generation": 5,
        "*.pcie_generation_max": 5,
        "*.pcie_width": 16,
        "*.pcie_width_max": 16,
        "*.capability_major": 9,
        "*.capability_minor": 0,
        "*.cores": 16896,
        "*.memory_total": 80 * GIB,
        "*.memory_used": 2 * GIB,
        "*.memory_reserved": GIB // 2,
        "*.busy": 0,
        "*.memory_busy": 0,
        "*.power": 71_250,
        "*.limit": 650_000,
        "*.limit_default": 700_000,
        "*.limit_min": 200_000,
        "*.limit_max": 700_000,
        "*.energy": 123_456_789_000,
        "*.persistent": 1,
        "*.temperature.0": 33,
        "*.threshold.0": 92,
        "*.threshold.1": 89,
        "*.field.82.0": 41,
        "*.clock.1": 1980,
        "*.clock.2": 2619,
        "*.clock_max.1": 1980,
        "*.clock_max.2": 2619,
        "*.bus_width": 5120,
        "*.state": 0,
        "*.reasons": "0x1",
        "*.ecc": 1,
        "*.ecc_errors.0.0": 3,
        "*.ecc_errors.1.0": 0,
        "*.ecc_errors.0.1": 12,
        "*.ecc_errors.1.1": 1,
        "*.rows_corrected": 1,
        "*.rows_uncorrected": 0,
        "*.rows_pending": 0,
        "*.rows_failed": 0,
        "*.mig": 0,
        "*.compute": "",
        "*.graphics": "",
        "*.mps": "",
    }
    for card in range(count):
        lines[f"{card}.uuid"] = f"GPU-0000000{card}-1111-2222-3333-444444444444"
        lines[f"{card}.pci"] = f"00000000:{0x1B + card:02X}:00.0"
    for link in range(18):
        lines[f"*.nvlink.{link}"] = 1
        lines[f"*.nvlink_version.{link}"] = 4
        lines[f"*.nvlink_peer.{link}"] = f"00000000:{0xC0 + link % 4:02X}:00.0"
        lines[f"*.field.164.{link}"] = 26_562
    if pid is not None:
        lines["0.compute"] = f"{pid}:{70 * GIB}"
        lines["1.compute"] = f"{pid}"
    return lines


def laptop() -> dict[str, object]:
    """A small card that tells little: no limits, no ECC, no counter, no links, no fan."""
    return driver(1) | {
        "0.name": "NVIDIA GeForce RTX 4060 Laptop GPU",
        "0.uuid": "GPU-aaaaaaaa-1111-2222-3333-444444444444",
        "0.pci": "00000000:01:00.0",
        "0.capability_major": 8,
        "0.capability_minor": 9,
        "0.memory_total": 8 * GIB,
        "0.memory_used": GIB // 4,
        "0.memory_reserved": GIB // 8,
        "0.busy": 4,
        "0.memory_busy": 1,
        "0.power": 9_870,
        "0.temperature.0": 47,
        "0.field.82.0": 0,
        "0.clock.1": 210,
        "0.state": 32,
        "0.reasons": "0x4",
    }


def unified() -> dict[str, object]:
    """A DGX Spark: its GPU has no memory but the machine's, which NVML does not tell."""
    return driver(1) | {
        "0.name": "NVIDIA GB10",
        "0.uuid": "GPU-bbbbbbbb-1111-2222-3333-444444444444",
        "0.capability_major": 12,
        "0.capability_minor": 1,
        "0.busy": 3,
        "0.memory_busy": 0,
        "0.power": 12_500,
        "0.compute": "77:1000",
    }


def split() -> dict[str, object]:
    """One H100 in MIG mode with two instances, numbered 0 and 2."""
    lines = server(1) | {
        "*.mig": 1,
        "*.mig_most": 7,
        "*.busy": f"!{UNSUPPORTED}",
    }
    for number, (profile, slices, processors) in {
        0: ("3g.40gb", 3, 60),
        2: ("1g.10gb", 1, 16),
    }.items():
        total = int(profile[3:5]) * GIB
        lines |= {
            f"0.mig.{number}.uuid": f"MIG-{number}0000000-1111-2222-3333-444444444444",
            f"0.mig.{number}.name": f"NVIDIA H100 80GB HBM3 MIG {profile}",
            f"0.mig.{number}.memory_total": total,
            f"0.mig.{number}.memory_used": GIB,
            f"0.mig.{number}.memory_reserved": 0,
            f"0.mig.{number}.multiprocessors": processors,
            f"0.mig.{number}.gpu_slices": slices,
            f"0.mig.{number}.compute_slices": slices,
            f"0.mig.{number}.megabytes": total // 1024**2,
            f"0.mig.{number}.gpu_instance": number + 1,
            f"0.mig.{number}.compute_instance": 0,
        }
    return lines


def denied() -> dict[str, object]:
    """A driver whose device files this user may not open."""
    return driver(1) | {"init": f"!{DENIED}"}


def mismatched() -> dict[str, object]:
    """The driver was updated: the kernel has another one than the library."""
    return driver(8, version="580.10.01")

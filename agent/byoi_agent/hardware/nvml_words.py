"""NVML's bits and errors in words that an owner can act on; pure."""

from __future__ import annotations

from typing import Final

_REASONS: Final = (
    (0x001, "idle"),
    (0x002, "clocks set by an application"),
    (0x004, "power limit"),
    (0x008, "hardware slowdown"),
    (0x010, "sync boost"),
    (0x020, "temperature (driver)"),
    (0x040, "temperature (hardware)"),
    (0x080, "power brake"),
    (0x100, "display clocks"),
    (0x200, "board limit"),
    (0x400, "reliability"),
)
"""nvml.h, nvmlClocksEventReasons; each bit can hold beside the others."""

RELOAD: Final = "restart the machine, or reload the NVIDIA driver, then look at nvidia-smi"

_MENDS: Final = {
    "NVMLError_NoPermission": (
        "let the user of this service open /dev/nvidiactl and /dev/nvidia*; "
        "in a container: give it all the devices"
    ),
    "NVMLError_LibRmVersionMismatch": "the driver was updated while running: restart the machine",
    "NVMLError_GpuIsLost": (
        "restart the machine; if it is lost again: look at its power cables, its heat and its "
        "slot, and for Xid in the kernel's log (journalctl -k)"
    ),
    "NVMLError_ResetRequired": "end what runs on it, then: nvidia-smi --gpu-reset -i NUMBER",
    "NVMLError_InsufficientPower": "connect the card's own power cables",
    "NVMLError_IrqIssue": "restart the machine; look for its interrupts in the kernel's log",
    "NVMLError_DriverNotLoaded": "load the NVIDIA driver again: modprobe nvidia",
    "NVMLError_LibraryNotFound": "install the NVIDIA driver again; its libnvidia-ml.so.1 is gone",
    "NVMLError_FunctionNotFound": "install a newer NVIDIA driver: this one is from before 2018",
}

_WORDS: Final = {
    "NVMLError_LibRmVersionMismatch": "the driver in the kernel is another than its library",
    "NVMLError_NoPermission": "this user has no permission",
    "NVMLError_DriverNotLoaded": "it is not loaded",
    "NVMLError_FunctionNotFound": "it is too old",
}
"""NVML's own words where they help nobody."""

_ABSENT: Final = frozenset({"NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"})
"""What says, at the first look, only that there is no NVIDIA driver here at all."""


def throttled_by(bits: int) -> tuple[str, ...]:
    """What holds the clocks down; nothing for a card that runs as fast as it may."""
    known = [word for bit, word in _REASONS if bits & bit]
    rest = bits & ~sum(bit for bit, _ in _REASONS)
    return (*known, f"reason {rest:#x}") if rest else tuple(known)


def words_of(error: Exception) -> str:
    """What an error of NVML's means."""
    return _WORDS.get(type(error).__name__, str(error))


def mend_of(error: Exception) -> str:
    """What to do about an error of NVML's."""
    return _MENDS.get(type(error).__name__, RELOAD)


def is_absence(error: Exception) -> bool:
    """Whether a failed start only says that there is no NVIDIA driver here."""
    return isinstance(error, ImportError) or type(error).__name__ in _ABSENT


def is_mismatch(error: Exception) -> bool:
    """Whether the driver is another than the library that this process has loaded."""
    return type(error).__name__ == "NVMLError_LibRmVersionMismatch"

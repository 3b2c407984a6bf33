"""NVIDIA cards through NVML: the only importer of pynvml, in one thread of its own.

NVML's calls may block for seconds when a card falls off the bus, and its library keeps state per
process; so one thread makes all calls, and a call that never returns costs that thread only.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from byoi_agent.hardware.devices import DeviceReading, ProbeReading

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

Foreign: TypeAlias = Any
"""Whatever pynvml gives: it has no types, and none of it leaves this file."""

CALL_SECONDS: Final = 10.0
"""How long a look at all cards may take before the driver counts as hung."""

_REINSTALL: Final = "restart the machine, or reload the NVIDIA driver, then look at nvidia-smi"


class NvmlProbe:
    """Sole owner of the NVML library in this process; `read` never raises for a driver's fault."""

    def __init__(self, library: Callable[[], Foreign] | None = None) -> None:
        self._library = library or _import_pynvml
        self._nvml: Foreign = None
        self._jobs: queue.SimpleQueue[tuple[Future[ProbeReading], Callable[[], ProbeReading]]]
        self._jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: Future[ProbeReading] | None = None

    async def read(self) -> ProbeReading:
        """One look at every card; a lost or hung driver is a `problem`, not an exception."""
        if self._pending is not None and not self._pending.done():
            return _hung()
        self._pending = self._submit(self._read)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(self._pending))
        except TimeoutError:
            return _hung()

    def now(self) -> ProbeReading:
        """The same, waited for: to choose by what is here before anything runs."""
        try:
            return self._submit(self._read).result(CALL_SECONDS)
        except TimeoutError:
            return _hung()

    def _submit(self, job: Callable[[], ProbeReading]) -> Future[ProbeReading]:
        if self._thread is None:
            # A daemon thread: a call stuck in the driver must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="nvml", daemon=True)
            self._thread.start()
        future: Future[ProbeReading] = Future()
        self._jobs.put((future, job))
        return future

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            if future.set_running_or_notify_cancel():
                future.set_result(job())

    def _read(self) -> ProbeReading:
        """In the thread: (re)open the library where needed, then read card by card."""
        try:
            if self._nvml is None:
                library = self._library()
                library.nvmlInit()
                self._nvml = library
            return ProbeReading(_devices(self._nvml))
        except Exception as error:  # noqa: BLE001 a driver's library: whatever it raises is its state
            return self._lost(error)

    def _lost(self, error: Exception) -> ProbeReading:
        """Forget the library, so that the next look starts afresh, and say what it was."""
        opened, self._nvml = self._nvml, None
        if opened is not None:
            _quietly(opened.nvmlShutdown)
        if opened is None and _is_absent(error):
            return ProbeReading()
        return ProbeReading(problem=f"the NVIDIA driver cannot be read: {error}", mend=_mend(error))


def _devices(nvml: Foreign) -> tuple[DeviceReading, ...]:
    driver = _text(_optional(nvml, nvml.nvmlSystemGetDriverVersion))
    cuda = _optional(nvml, _named(nvml, "nvmlSystemGetCudaDriverVersion_v2"))
    count = nvml.nvmlDeviceGetCount()
    return tuple(_device(nvml, index, driver, cuda) for index in range(count))


def _device(nvml: Foreign, index: int, driver: str | None, cuda: int | None) -> DeviceReading:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Foreign) -> Foreign:
        return _optional(nvml, _named(nvml, name), handle, *arguments)

    memory = _memory(nvml, handle)
    capability = ask("nvmlDeviceGetCudaComputeCapability")
    utilisation = ask("nvmlDeviceGetUtilizationRates")
    pci = ask("nvmlDeviceGetPciInfo")
    mig = ask("nvmlDeviceGetMigMode")
    return DeviceReading(
        index=index,
        kind="nvidia",
        name=_text(ask("nvmlDeviceGetName")) or "NVIDIA GPU",
        uuid=_text(ask("nvmlDeviceGetUUID")),
        pci_bus=None if pci is None else _text(pci.busId),
        memory_total_bytes=None if memory is None else memory.total,
        memory_used_bytes=None if memory is None else memory.used,
        memory_reserved_bytes=getattr(memory, "reserved", None),
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        driver_version=driver,
        cuda_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        utilisation_percent=None if utilisation is None else utilisation.gpu,
        power_watts=_thousandth(ask("nvmlDeviceGetPowerUsage")),
        power_limit_watts=_thousandth(ask("nvmlDeviceGetEnforcedPowerLimit")),
        energy_joules=_thousandth(ask("nvmlDeviceGetTotalEnergyConsumption")),
        temperature_celsius=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        slowdown_celsius=ask(
            "nvmlDeviceGetTemperatureThreshold", nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        ),
        sm_clock_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        throttle_reasons=ask("nvmlDeviceGetCurrentClocksThrottleReasons"),
        uncorrected_ecc_errors=ask(
            "nvmlDeviceGetTotalEccErrors",
            nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            nvml.NVML_VOLATILE_ECC,
        ),
        is_mig=None if mig is None else bool(mig[0]),
        process_memory_bytes=_processes(ask("nvmlDeviceGetComputeRunningProcesses")),
    )


def _memory(nvml: Foreign, handle: Foreign) -> Foreign:
    # Version 2 tells what the driver reserves from what is used; drivers before 510 lack it.
    version = getattr(nvml, "nvmlMemory_v2", None)
    if version is not None:
        memory = _optional(nvml, nvml.nvmlDeviceGetMemoryInfo, handle, version)
        if memory is not None:
            return memory
    return _optional(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)


def _optional(nvml: Foreign, call: Foreign, *arguments: Foreign) -> Foreign:
    """The call's answer, or None where this card, driver or account does not offer it."""
    if call is None:
        return None
    try:
        return call(*arguments)
    except nvml.NVMLError as error:
        if _is_loss(nvml, error):
            raise
        return None


def _is_loss(nvml: Foreign, error: Foreign) -> bool:
    codes = (
        "NVML_ERROR_GPU_IS_LOST",
        "NVML_ERROR_UNINITIALIZED",
        "NVML_ERROR_RESET_REQUIRED",
        "NVML_ERROR_DRIVER_NOT_LOADED",
        "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
    )
    return getattr(error, "value", None) in {getattr(nvml, code, None) for code in codes}


def _is_absent(error: Exception) -> bool:
    """Whether a failed start only says that there is no NVIDIA driver here at all."""
    names = {"NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"}
    return isinstance(error, ImportError) or type(error).__name__ in names


def _mend(error: Exception) -> str:
    match type(error).__name__:
        case "NVMLError_NoPermission":
            return "let the user of this service open /dev/nvidiactl and /dev/nvidia*"
        case "NVMLError_LibRmVersionMismatch":
            return "the driver was updated while running: restart the machine"
        case _:
            return _REINSTALL


def _hung() -> ProbeReading:
    return ProbeReading(
        problem=f"the NVIDIA driver has not answered for {CALL_SECONDS:.0f} s", mend=_REINSTALL
    )


def _processes(found: Foreign) -> tuple[tuple[int, int | None], ...] | None:
    if found is None:
        return None
    return tuple((process.pid, process.usedGpuMemory) for process in found)


def _named(nvml: Foreign, name: str) -> Foreign:
    return getattr(nvml, name, None)


def _text(value: Foreign) -> str | None:
    # Bindings before 11.5 give bytes.
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 the library is being given up; its last word
        logger.debug("nvml shutdown failed", extra={"error": str(error)})


def _import_pynvml() -> Foreign:
    import pynvml  # noqa: PLC0415 a machine without a card never pays for it

    return pynvml

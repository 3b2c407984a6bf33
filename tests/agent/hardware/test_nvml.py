from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from byoi_agent.hardware import nvml
from byoi_agent.hardware.nvml import NvmlProbe


class NVMLError(Exception):
    def __init__(self, value):
        super().__init__(f"error {value}")
        self.value = value


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801 pynvml's own spelling
    pass


class NVMLError_NoPermission(NVMLError):  # noqa: N801
    pass


class Card:
    """A stand-in for the pynvml module: one card, whose calls can be made to fail."""

    NVML_TEMPERATURE_GPU = 0
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 1
    NVML_CLOCK_SM = 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_GPU_IS_LOST = 15
    NVMLError = NVMLError
    nvmlMemory_v2 = 2  # noqa: N815

    def __init__(self):
        self.failures = {}
        self.opened = 0
        self.closed = 0
        self.threads = set()

    def _call(self, name, value):
        self.threads.add(threading.current_thread().name)
        if name in self.failures:
            raise self.failures[name]
        return value

    def nvmlInit(self):  # noqa: N802
        self._call("nvmlInit", None)
        self.opened += 1

    def nvmlShutdown(self):  # noqa: N802
        self.closed += 1

    def __getattr__(self, name):
        values = {
            "nvmlSystemGetDriverVersion": b"575.51",
            "nvmlSystemGetCudaDriverVersion_v2": 12090,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=100, used=40, reserved=5),
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlDeviceGetPciInfo": SimpleNamespace(busId=b"0000:01:00.0"),
            "nvmlDeviceGetCudaComputeCapability": (9, 0),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=17),
            "nvmlDeviceGetMigMode": (0, 0),
            "nvmlDeviceGetPowerUsage": 76_500,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000,
            "nvmlDeviceGetTemperature": 31,
            "nvmlDeviceGetTemperatureThreshold": 95,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0,
            "nvmlDeviceGetTotalEccErrors": 0,
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=None)],
        }
        if name not in values:
            raise AttributeError(name)
        return lambda *_: self._call(name, values[name])


@pytest.fixture
def card():
    return Card()


async def test_a_healthy_card_is_read_with_its_units(card):
    reading = await NvmlProbe(lambda: card).read()
    (device,) = reading.devices
    assert reading.problem is None
    assert (device.name, device.driver_version, device.cuda_version) == (
        "NVIDIA H200",
        "575.51",
        "12.9",
    )
    assert (device.compute_capability, device.pci_bus) == ("9.0", "0000:01:00.0")
    assert (device.memory_total_bytes, device.memory_used_bytes, device.memory_reserved_bytes) == (
        100,
        40,
        5,
    )
    assert (device.power_watts, device.power_limit_watts, device.energy_joules) == (76.5, 700, 5)
    assert device.process_memory_bytes == ((7, None),)


async def test_what_a_card_does_not_support_is_none_and_the_rest_is_read(card):
    for name in (
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetComputeRunningProcesses",
    ):
        card.failures[name] = NVMLError(Card.NVML_ERROR_NOT_SUPPORTED)
    (device,) = (await NvmlProbe(lambda: card).read()).devices
    assert device.power_limit_watts is None
    assert device.temperature_celsius is None
    assert device.memory_total_bytes is None
    assert device.is_mig is None
    assert device.process_memory_bytes is None
    assert device.utilisation_percent == 17


async def test_a_lost_card_is_a_problem_and_the_next_look_starts_afresh(card):
    probe = NvmlProbe(lambda: card)
    await probe.read()
    card.failures["nvmlDeviceGetUtilizationRates"] = NVMLError(Card.NVML_ERROR_GPU_IS_LOST)
    lost = await probe.read()
    assert lost.devices == ()
    assert "cannot be read" in lost.problem
    assert lost.mend
    card.failures.clear()
    assert len((await probe.read()).devices) == 1
    assert (card.opened, card.closed) == (2, 1)


async def test_a_machine_without_a_driver_has_no_devices_and_no_problem(card):
    card.failures["nvmlInit"] = NVMLError_LibraryNotFound(12)
    reading = await NvmlProbe(lambda: card).read()
    assert (reading.devices, reading.problem) == ((), None)


async def test_a_forbidden_driver_says_what_to_allow(card):
    card.failures["nvmlInit"] = NVMLError_NoPermission(4)
    reading = await NvmlProbe(lambda: card).read()
    assert "/dev/nvidia" in reading.mend


async def test_every_call_is_made_in_one_thread_that_is_not_ours(card):
    probe = NvmlProbe(lambda: card)
    await probe.read()
    await probe.read()
    assert card.threads == {"nvml"}


async def test_a_hung_driver_is_a_problem_and_is_not_asked_again_until_it_answers(
    card, monkeypatch
):
    release = threading.Event()
    calls = []

    def library():
        calls.append(1)
        release.wait()
        return card

    monkeypatch.setattr(nvml, "CALL_SECONDS", 0.01)
    probe = NvmlProbe(library)
    assert "not answered" in (await probe.read()).problem
    assert "not answered" in (await probe.read()).problem
    assert len(calls) == 1
    monkeypatch.setattr(nvml, "CALL_SECONDS", 10.0)
    release.set()
    probe._pending.result(timeout=10)
    assert len((await probe.read()).devices) == 1

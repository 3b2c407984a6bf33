"""P31: the console knows the machine: host facts always, accelerators as NVML tells them."""

from __future__ import annotations

import platform

import psutil
import pynvml
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


def gpus() -> list[tuple[str, int]]:
    """What NVML itself says: none where there is none."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [
            (pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle).total)
            for handle in handles
        ]
    finally:
        pynvml.nvmlShutdown()


async def test_p31_host_devices_and_models(shared, real):
    (node,) = [n for n in await shared.nodes() if real in [m["id"] for m in n["models"]]]
    host = node["host"]
    assert host["architecture"] == platform.machine()
    assert host["cpu_cores"] >= 1
    assert host["memory_total_bytes"] <= psutil.virtual_memory().total
    assert host["disk_free_bytes"] > 0
    told = [(device["name"], device["memory_total_bytes"]) for device in node["devices"]]
    assert told == gpus()
    assert {device["kind"] for device in node["devices"]} <= {"nvidia"}
    (model,) = node["models"]
    assert model["context_tokens"] > 0
    assert "/v1/chat/completions" in model["routes"]

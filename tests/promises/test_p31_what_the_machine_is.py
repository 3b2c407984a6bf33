"""P31: the console knows the machine: host facts always, accelerators as their drivers tell them.

Where no accelerator is, the processor is the device. A server with eight cards is a stand-in's.
"""

from __future__ import annotations

import json
import platform

import psutil
import pynvml
import pytest


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


@pytest.mark.asyncio(loop_scope="session")
async def test_p31_host_devices_and_models(shared, real):
    (node,) = [n for n in await shared.nodes() if real in [m["id"] for m in n["models"]]]
    host = node["host"]
    assert host["architecture"] == platform.machine()
    assert host["cpu_cores"] >= 1
    assert host["memory_total_bytes"] <= psutil.virtual_memory().total
    assert host["disk_free_bytes"] > 0
    devices = node["devices"]
    told = [(one["name"], one["memory_total_bytes"]) for one in devices if one["kind"] == "nvidia"]
    assert told == gpus()
    if not told and {device["kind"] for device in devices} == {"cpu"}:
        assert [device["memory_total_bytes"] for device in devices] == [host["memory_total_bytes"]]
    (model,) = node["models"]
    assert model["context_tokens"] > 0
    assert "/v1/chat/completions" in model["routes"]


@pytest.mark.slow
async def test_p31_a_card_lost_under_load_is_told_and_comes_back(
    deployment, nvml, nvml_library, machine
):
    machine.shows(nvml.server(8))
    deployment.env |= machine.variables(nvml_library) | {"BYOI_PROBE_SECONDS": "0.5"}
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.start_node("server", "--engine", engine.ready["url"])

    async def warning():
        asked = await deployment.program(
            "byoi", "status", "--json", "--data-dir", deployment.folder / "server"
        )
        told = {one["name"]: one["text"] for one in json.loads(asked)["warnings"]}
        return told.get("gpu-driver")

    async def until(count):
        async def is_so():
            (node,) = await deployment.nodes()
            return len(node["devices"]) == count

        await deployment.until(is_so)

    await until(8)
    (node,) = await deployment.nodes()
    assert {device["name"] for device in node["devices"]} == {"NVIDIA H100 80GB HBM3"}
    assert "GPU-0000" not in json.dumps(node)
    machine.lose(3)
    await until(7)
    assert await warning() == "GPU 3 (00000000:1E:00.0) cannot be read: GPU is lost"
    answer = await deployment.chat("Are you still there?")
    assert answer.is_complete
    machine.find(3)
    await until(8)
    assert await warning() is None

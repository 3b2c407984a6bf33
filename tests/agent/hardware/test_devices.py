from __future__ import annotations

from byoi_agent.hardware.devices import DeviceReading


def test_the_console_is_told_no_serials_and_no_processes():
    reading = DeviceReading(
        index=0,
        kind="nvidia",
        name="H200",
        uuid="GPU-secret",
        pci_bus="0000:01:00.0",
        memory_total_bytes=10,
        process_memory_bytes=((42, 7),),
    )
    told = reading.to_wire()
    assert "GPU-secret" not in told.model_dump_json()
    assert set(told.model_dump()) == {
        "index",
        "kind",
        "name",
        "memory_total_bytes",
        "memory_used_bytes",
        "compute_capability",
        "driver_version",
        "power_limit_watts",
    }


def test_what_a_card_does_not_report_is_none():
    told = DeviceReading(index=0, kind="nvidia", name="old").to_wire()
    assert told.memory_total_bytes is None
    assert told.power_limit_watts is None

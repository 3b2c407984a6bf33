from __future__ import annotations

from byoi_agent.engine.estimate import plan_devices
from byoi_agent.hardware.devices import DeviceReading, MigInstance

GIB = 1024**3


def card(index, **fields):
    return DeviceReading(index=index, kind="nvidia", name="H100", **fields)


def test_a_card_that_mig_splits_counts_as_its_largest_part():
    parts = (
        MigInstance(0, "MIG-a", "H100 MIG 1g.10gb", 10 * GIB, GIB),
        MigInstance(1, "MIG-b", "H100 MIG 3g.40gb", 40 * GIB, GIB),
    )
    devices = [
        card(0, memory_total_bytes=80 * GIB),
        card(1, memory_total_bytes=80 * GIB, is_mig=True, mig_instances=parts),
        card(2, memory_total_bytes=80 * GIB, is_mig=True, mig_instances=()),
    ]
    found = plan_devices(devices, None)
    assert [(one.index, one.memory_bytes, one.name) for one in found] == [
        (0, 80 * GIB, "H100"),
        (1, 40 * GIB, "H100 MIG 3g.40gb"),
    ]


def test_without_an_accelerator_the_processor_has_the_machines_memory():
    processor = DeviceReading(index=0, kind="cpu", name="EPYC", memory_total_bytes=64 * GIB)
    (found,) = plan_devices([processor], 64 * GIB)
    assert (found.kind, found.memory_bytes) == ("cpu", 64 * GIB)
    assert plan_devices([processor], None) == []

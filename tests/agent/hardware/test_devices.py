from __future__ import annotations

from byoi_agent.hardware.devices import (
    DeviceProcess,
    DeviceReading,
    MigInstance,
    ProbeReading,
)


def test_the_console_is_told_no_serials_and_no_processes():
    reading = DeviceReading(
        index=0,
        kind="nvidia",
        name="H200",
        uuid="GPU-secret",
        pci_bus="0000:01:00.0",
        memory_total_bytes=10,
        processes=(DeviceProcess(42, "compute", "secret-program", 7),),
    )
    told = reading.to_wire()
    assert "secret" not in told.model_dump_json()
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


def split(**fields):
    card = {"index": 3, "kind": "nvidia", "name": "H100", "uuid": "GPU-1", "is_mig": True}
    return DeviceReading(**card, memory_total_bytes=80, power_watts=300.0, **fields)


def test_a_whole_card_is_what_programs_can_be_given():
    whole = DeviceReading(index=0, kind="nvidia", name="H100", is_mig=False)
    assert whole.usable() == (whole,)


def test_each_part_of_a_split_card_is_a_device_of_its_own():
    card = split(
        compute_capability="9.0",
        mig_instances=(
            MigInstance(0, "MIG-a", "H100 MIG 3g.40gb", 40, 1, compute_slices=3),
            MigInstance(1, "MIG-b", None, None, None),
        ),
    )
    first, second = ProbeReading((card,)).usable()
    assert (first.uuid, first.parent_uuid, first.index) == ("MIG-a", "GPU-1", 3)
    assert (first.name, first.memory_total_bytes, first.memory_free_bytes) == (
        "H100 MIG 3g.40gb",
        40,
        39,
    )
    assert first.compute_capability == "9.0"
    assert (second.name, second.memory_total_bytes, second.memory_free_bytes) == (
        "H100",
        None,
        None,
    )
    assert (first.power_watts, second.energy_joules) == (None, None)


def test_a_split_card_without_parts_can_be_given_to_nobody():
    assert split(mig_instances=()).usable() == ()
    assert split(mig_instances=()).for_engine() is None


def test_an_engine_is_given_the_whole_card_or_its_largest_part():
    whole = DeviceReading(index=0, kind="nvidia", name="H100")
    assert whole.for_engine() is whole
    parts = (MigInstance(0, "MIG-a", None, 10), MigInstance(1, "MIG-b", None, 40))
    assert split(mig_instances=parts).for_engine().uuid == "MIG-b"


def test_kinds_in_one_machine_share_the_numbers():
    card = DeviceReading(index=1, kind="amd", name="W7900")
    moved = ProbeReading((card,), "GPU 0 is lost", lost=(card,)).from_index(4)
    assert [moved.devices[0].index, moved.lost[0].index] == [5, 5]
    assert moved.problem == "GPU 0 is lost"

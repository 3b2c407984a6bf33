from __future__ import annotations

import pytest

from byoi_agent.engine.gpus import visible_gpus
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.hardware.devices import DeviceReading, MigInstance

CARDS = [DeviceReading(index, "nvidia", "H200", uuid=f"GPU-{index}") for index in range(2)]


def test_without_a_word_of_the_owners_an_engine_sees_them_all():
    assert visible_gpus(None, CARDS) == {}


def test_it_sees_those_that_its_owner_named():
    assert visible_gpus((1,), CARDS) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


SPLIT = DeviceReading(
    2, "nvidia", "H200", uuid="GPU-2", is_mig=True,
    mig_instances=(
        MigInstance(0, uuid="MIG-small", memory_total_bytes=1),
        MigInstance(1, uuid="MIG-large", memory_total_bytes=2),
    ),
)  # fmt: skip


def test_of_a_card_that_mig_splits_it_sees_the_largest_part():
    assert visible_gpus((2,), [*CARDS, SPLIT]) == {"CUDA_VISIBLE_DEVICES": "MIG-large"}


def test_a_part_of_a_card_works_together_with_nothing():
    with pytest.raises(ConfigError, match=r"GPU 2 cannot work together .* tensor_parallel = 1"):
        visible_gpus((0, 2), [*CARDS, SPLIT])


def test_cards_without_a_uuid_are_numbered_by_the_bus():
    cards = [DeviceReading(0, "amd", "MI300X"), DeviceReading(1, "amd", "MI300X")]
    assert visible_gpus((0, 1), cards) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        (CARDS, "there are 0, 1; see: byoi devices"),
        ([DeviceReading(2, "cpu", "Xeon")], "there is none"),
    ],
)
def test_one_that_is_not_there_is_waited_for_as_it_may_come_back(devices, told):
    with pytest.raises(EngineError, match=told):
        visible_gpus((2,), devices)

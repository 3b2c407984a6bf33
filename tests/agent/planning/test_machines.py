from __future__ import annotations

import pytest

from byoi_agent.planning.machines import GIB, PlanDevice

CARD = PlanDevice(0, "nvidia", "a card", 100 * GIB)


def test_vllm_takes_its_share_and_never_more_than_is_free():
    assert CARD.usable_bytes("vllm") == 92 * GIB
    assert CARD.usable_bytes("vllm", 0.5) == 50 * GIB
    busy = PlanDevice(0, "nvidia", "a card", 100 * GIB, free_bytes=30 * GIB)
    assert busy.usable_bytes("vllm") == 30 * GIB


def test_llama_cpp_leaves_a_margin_of_what_is_free():
    assert CARD.usable_bytes("llamacpp") == 100 * GIB - GIB // 2
    assert PlanDevice(0, "nvidia", "full", GIB, free_bytes=0).usable_bytes("llamacpp") == 0


@pytest.mark.parametrize(("gib", "usable"), [(100, 90), (8, 6), (1, 0)])
def test_a_machine_without_a_gpu_keeps_some_for_its_owner(gib, usable):
    processor = PlanDevice(0, "cpu", "a processor", gib * GIB)
    assert processor.is_cpu
    assert not CARD.is_cpu
    assert processor.usable_bytes("vllm") == usable * GIB

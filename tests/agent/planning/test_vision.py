from __future__ import annotations

import pytest

from byoi_agent.planning.vision import vision_parts

TOWER = {
    "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "patch_size": 2,
    "image_size": 8,
}  # fmt: skip


@pytest.mark.parametrize("given", [None, "odd", {}, {"hidden_size": 8, "intermediate_size": 16}])
def test_a_model_that_does_not_see_has_no_tower(given):
    assert vision_parts({"vision_config": given}, 32) == []


def test_a_tower_and_its_bridge_to_the_text():
    parts = vision_parts({"vision_config": TOWER}, 32)
    layer = 4 * (64 + 8) + 2 * 128 + 16 + 8 + 32
    assert parts[0].parameters == 2 * layer + 3 * 4 * 8 + 8 + 16 * 8 + 16
    assert sum(part.parameters for part in parts[1:]) == 8 * 32 + 8
    assert {part.role for part in parts} == {"vision"}

from __future__ import annotations

import pytest

from byoi_agent.planning.tensors import Tensor


@pytest.mark.parametrize(
    ("kind", "weights", "is_plain"),
    [("BF16", 6, True), ("F8_E4M3", 6, True), ("I32", 48, False), ("U8", 12, False)],
)
def test_packed_numbers_stand_for_several_weights(kind, weights, is_plain):
    tensor = Tensor("a", kind, (2, 3), 12)
    assert tensor.elements == 6
    assert (tensor.weights, tensor.is_plain) == (weights, is_plain)


def test_a_tensor_without_dimensions_is_one_number():
    assert Tensor("a", "F32", (), 4).elements == 1

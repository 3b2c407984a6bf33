from __future__ import annotations

import pytest

from byoi_agent.planning.training_limits import (
    BYTES_PER_PARAMETER,
    Place,
    exchange_seconds,
    state_bytes,
    warnings,
)

GB = 10**9
A100 = Place("gpu", 80 * GB, 8, has_nvlink=True)
MANY = 20.0
"""Tokens for each parameter that nobody calls few."""


def names(place: Place, parameters: float = 1e9, tokens_each: float = MANY, gpus: float = 100):
    return [one.name for one in warnings(parameters, tokens_each * parameters, gpus, place)]


def text(place: Place, name: str, parameters: float = 1e9, tokens_each: float = MANY, gpus=100.0):
    found = warnings(parameters, tokens_each * parameters, gpus, place)
    return next(one.text for one in found if one.name == name)


def test_mixed_precision_takes_sixteen_bytes_for_each_parameter():
    assert BYTES_PER_PARAMETER == 16
    assert state_bytes(1e12) == 16e12


def test_what_fits_into_one_machine_is_not_warned_of():
    assert names(A100, parameters=40e9, gpus=8) == []


def test_a_model_beyond_one_machine_must_be_split():
    said = text(A100, "node-memory", parameters=1e12, gpus=2840)
    assert "640 GB of 16 TB" in said
    assert "25 machines or more" in said
    assert "memory" not in names(A100, parameters=1e12, gpus=2840)


def test_too_few_gpus_to_hold_it_are_told_how_many_would():
    said = text(A100, "memory", parameters=1e12, gpus=20.3)
    assert "21 GPUs of 80 GB" in said
    assert "200 GPUs or more" in said


def test_a_single_machine_is_called_so():
    said = text(Place("machine", 64 * GB), "memory", parameters=1e12, gpus=1)
    assert "into 1 machine of 64 GB" in said
    assert "node-memory" not in names(Place("machine", 64 * GB), parameters=1e12)


@pytest.mark.parametrize(
    ("place", "mend"),
    [
        (Place("gpu"), "--gpu-memory-gib"),
        (Place("machine"), "this machine does not tell"),
        (Place("node"), "the nodes do not tell"),
    ],
)
def test_unknown_memory_is_said_to_be_unknown(place, mend):
    assert mend in text(place, "memory-unknown")


def test_missing_nvlink_is_told_and_unknown_is_not():
    assert "no-nvlink" in names(Place("gpu", 80 * GB, 8, has_nvlink=False))
    assert "no-nvlink" not in names(Place("gpu", 80 * GB, 8))


def test_machines_in_homes_cannot_exchange_gradients_in_time():
    fleet = Place("node", 24 * GB, nodes=40)
    assert exchange_seconds(1e12, 100) == pytest.approx(4e12 * 8 / 1e8)
    assert "3.7 days at 100 Mbit/s" in text(fleet, "wide-area-network", parameters=1e12)
    assert "wide-area-network" not in names(Place("node", 24 * GB))
    assert "wide-area-network" not in names(A100)


def test_what_was_measured_by_inference_is_no_training():
    assert "measured-by-inference" in names(Place("machine", 24 * GB))
    assert "measured-by-inference" in names(Place("node", 24 * GB))
    assert "measured-by-inference" not in names(A100)


def test_few_tokens_are_told_with_what_many_would_take():
    said = text(A100, "few-tokens", parameters=1e12, tokens_each=0.45)
    assert "0.45 tokens" in said
    assert "20 T tokens" in said
    assert "44.4 times" in said
    assert "few-tokens" not in names(A100, tokens_each=10)

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.planning.training import (
    DAY_SECONDS,
    DAYS,
    FACTOR,
    PRESETS,
    Extras,
    Job,
    default_tokens,
    gpus_for,
    time_for,
)

WINDOW = DAYS * DAY_SECONDS

GOLDEN = [
    (1e12, "a100", 2840, 2800),
    (1e12, "h100", 772, 770),
    (1e12, "gb300", 231, 230),
    (3e12, "a100", 25_562, 25_600),
    (3e12, "h100", 6944, 6900),
    (3e12, "gb300", 2083, 2100),
    (1e13, "a100", 284_026, 284_000),
    (1e13, "h100", 77_160, 77_000),
    (1e13, "gb300", 23_148, 23_000),
]
"""Parameters, GPU, the formula's result, and how it was published."""


def job(parameters: float = 1e12, gpu: str = "a100", extras: Extras | None = None) -> Job:
    return Job(
        parameters,
        default_tokens(parameters),
        PRESETS[gpu].flops,
        extras=extras or Extras(),
    )


@pytest.mark.parametrize(("parameters", "gpu", "exact", "published"), GOLDEN)
def test_the_nine_published_results_come_out(parameters, gpu, exact, published):
    found = gpus_for(job(parameters, gpu), WINDOW)
    assert round(found.gpus) == exact
    digits = len(str(published).rstrip("0")) - len(str(published))
    assert round(found.gpus, digits) == published


def test_the_window_is_90_days_of_seconds():
    assert WINDOW == 7_776_000


def test_nobody_sells_a_part_of_a_gpu():
    found = gpus_for(job(), WINDOW)
    assert found.gpus == pytest.approx(2840.26, abs=0.01)
    assert found.whole_gpus == 2841


def test_a_whole_number_is_not_rounded_up_and_less_than_one_is_one():
    found = gpus_for(job(), WINDOW)
    assert replace(found, gpus=8.0).whole_gpus == 8
    assert replace(found, gpus=8.0 + 1e-13).whole_gpus == 8
    assert replace(found, gpus=1e-20).whole_gpus == 1


def test_the_time_of_so_many_gpus_is_the_way_back():
    there = gpus_for(job(), WINDOW)
    back = time_for(job(), there.gpus)
    assert back.seconds == pytest.approx(WINDOW)
    assert time_for(job(), 2 * there.gpus).seconds == pytest.approx(WINDOW / 2)


def test_a_mixture_of_experts_works_with_its_active_parameters():
    whole = gpus_for(job(), WINDOW)
    part = gpus_for(replace(job(), active_parameters=1e11), WINDOW)
    assert part.gpus == pytest.approx(whole.gpus / 10)


def test_without_recomputation_it_takes_a_quarter_less():
    assert FACTOR == 8
    six = gpus_for(replace(job(), factor=6.0), WINDOW)
    assert six.gpus == pytest.approx(gpus_for(job(), WINDOW).gpus * 3 / 4)


@pytest.mark.parametrize(
    ("extras", "times"),
    [
        (Extras(tokens_times=2), 2),
        (Extras(wall_clock_times=1.25), 1.25),
        (Extras(network_times=1.5), 1.5),
        (Extras(post_training=0.2), 1.2),
        (Extras(fine_tuning=0.1, evaluation=0.05, synthetic_data=0.5), 1.65),
        (Extras(network_times=2, post_training=0.5), 3),
    ],
)
def test_extras_multiply_what_it_takes(extras, times):
    bare = gpus_for(job(), WINDOW)
    found = gpus_for(job(extras=extras), WINDOW)
    assert found.gpus == pytest.approx(bare.gpus * times)
    assert time_for(job(extras=extras), bare.gpus).seconds == pytest.approx(WINDOW * times)


def test_each_part_of_the_work_has_its_line():
    extras = Extras(fine_tuning=0.1, synthetic_data=0.4)
    found = gpus_for(job(extras=extras), WINDOW)
    assert [line.name for line in found.lines] == ["pre-training", "fine-tuning", "synthetic data"]
    assert sum(line.gpus for line in found.lines) == pytest.approx(found.gpus)
    assert found.lines[1].flop == pytest.approx(3.6e23)
    assert found.lines[0].gpu_days == pytest.approx(2840.26 * 90, rel=1e-4)
    assert found.flop == pytest.approx(1.5 * 3.6e24)


def test_the_fleet_that_serves_afterwards_is_counted_apart():
    """Two operations a parameter and token: 2 · 10¹² · 1,630 / 163 · 10¹² a second."""
    bare = gpus_for(job(), WINDOW)
    found = gpus_for(job(extras=Extras(serving_tokens_per_second=1630)), WINDOW)
    assert found.serving_gpus == pytest.approx(20)
    assert found.gpus == bare.gpus
    assert bare.serving_gpus == 0


@pytest.mark.parametrize("flops", [5e-324, math.inf])
def test_what_cannot_be_counted_is_refused(flops):
    with pytest.raises(ValueError, match="look at the numbers"):
        gpus_for(replace(job(), flops=flops), WINDOW)
    with pytest.raises(ValueError, match="look at the numbers"):
        time_for(replace(job(), flops=flops), 1)


amounts = st.floats(min_value=1e3, max_value=1e15)


@given(amounts, amounts, amounts, st.floats(min_value=1, max_value=1e9))
def test_twice_the_time_needs_half_the_gpus(parameters, tokens, flops, seconds):
    one = Job(parameters, tokens, flops)
    assert gpus_for(one, seconds).gpus == pytest.approx(2 * gpus_for(one, 2 * seconds).gpus)

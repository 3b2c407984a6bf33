from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.planning.calibration import (
    FACTOR_LIMIT,
    KEYS_KEPT,
    LOWEST_FACTOR,
    OBSERVATIONS_KEPT,
    Accuracy,
    Correction,
    Corrections,
    Key,
    Observation,
)

KEY = Key("llamacpp", "2026.10", "smol", "Q4_1", 2048, 4)
GIB = 1 << 30


def seen(*loads: tuple[Key, float, float]) -> Corrections:
    """Loads of so many GiB predicted and measured, one after the other."""
    corrections = Corrections()
    for number, (key, predicted, measured) in enumerate(loads):
        one = Observation(round(predicted * GIB), round(measured * GIB), float(number))
        corrections = corrections.and_seen(key, one)
    return corrections


def test_without_a_load_the_arithmetic_stands():
    correction = Corrections().of(KEY, GIB)
    assert correction == Correction(1.0, 0, None, "none")
    assert correction.applied(GIB) == GIB
    assert "uncorrected" in correction.sentence


def test_the_same_load_again_is_expected_to_take_what_it_took():
    correction = seen((KEY, 1, 1.2), (KEY, 1, 1.2), (KEY, 1, 1.2)).of(KEY, GIB)
    assert correction.factor == pytest.approx(1.2, rel=0.02)
    assert correction.error == pytest.approx(0.2)
    assert (correction.observations, correction.basis) == (3, "load")
    assert correction.sentence == "the last 3 loads took 20 % more than reckoned; corrected"


def test_a_single_load_moves_the_estimate_most_of_the_way():
    correction = seen((KEY, 1, 1.2)).of(KEY)
    assert 1.1 < correction.factor < 1.2
    assert correction.sentence == "the last load took 20 % more than reckoned; corrected"


@pytest.mark.parametrize(
    ("other", "basis"),
    [
        (replace(KEY, context_tokens=512), "model"),
        (replace(KEY, concurrency=1), "model"),
        (replace(KEY, quantisation="Q8_0"), "version"),
        (replace(KEY, model="another"), "version"),
        (replace(KEY, version="2026.11"), "engine"),
        (replace(KEY, engine="vllm"), "none"),
    ],
)
def test_what_was_not_loaded_yet_learns_from_its_nearest_relative(other, basis):
    correction = seen((other, 1, 1.5), (other, 1, 1.5)).of(KEY)
    assert correction.basis == basis
    assert (correction.factor > 1) == (basis != "none")


def test_the_nearer_the_relative_the_more_it_counts():
    far, near = replace(KEY, version="old"), replace(KEY, context_tokens=512)
    assert seen((near, 1, 1.5)).of(KEY).factor > seen((far, 1, 1.5)).of(KEY).factor > 1


def test_a_load_of_its_own_outweighs_its_relatives():
    other = replace(KEY, model="another")
    loads = seen((other, 1, 2), (other, 1, 2), (other, 1, 2), (KEY, 1, 1), (KEY, 1, 1), (KEY, 1, 1))
    assert loads.of(KEY).factor == pytest.approx(1.0, rel=0.05)


def test_one_wild_load_among_others_moves_nothing():
    calm = seen(*[(KEY, 1, 1.1)] * 4).of(KEY).factor
    wild = seen(*[(KEY, 1, 1.1)] * 4, (KEY, 1, 3.5)).of(KEY).factor
    assert wild == pytest.approx(calm, rel=0.01)


def test_downwards_the_load_that_took_most_counts():
    assert seen(*[(KEY, 1, 0.5)] * 5, (KEY, 1, 0.9)).of(KEY).factor == pytest.approx(0.9, rel=0.02)


def test_an_estimate_is_lowered_by_a_quarter_at_most():
    correction = seen(*[(KEY, 1, 0.3)] * 8).of(KEY)
    assert correction.factor == pytest.approx(LOWEST_FACTOR, rel=0.02)
    assert correction.error == pytest.approx(-0.7)


def test_more_than_reckoned_once_ends_a_correction_downwards():
    assert seen(*[(KEY, 1, 0.5)] * 5, (KEY, 1, 1.5)).of(KEY).factor == pytest.approx(1)


def test_along_a_line_too_the_load_that_took_most_counts():
    sizes = {size: replace(KEY, context_tokens=1024 * size) for size in (1, 2, 4, 8)}
    calm = [(key, size, size - 0.5) for size, key in sizes.items()]
    wanted = replace(KEY, context_tokens=512)
    found = seen(*calm, (sizes[8], 8, 7.8)).of(wanted, 8 * GIB)
    assert found.applied(8 * GIB) == pytest.approx(7.8 * GIB, rel=0.02)


def test_an_engines_own_part_is_the_same_in_every_size():
    """Each load takes half a GiB beside what was reckoned: no one factor would fit them all."""
    sizes = {size: replace(KEY, context_tokens=1024 * size) for size in (1, 2, 4)}
    loads = seen(*[(key, size, size + 0.5) for size, key in sizes.items()] * 2)
    wanted = replace(KEY, context_tokens=8192)
    correction = loads.of(wanted, 8 * GIB)
    assert correction.applied(8 * GIB) == pytest.approx(8.5 * GIB, rel=0.02)
    assert loads.of(wanted).applied(8 * GIB) > 9 * GIB


def test_a_larger_load_is_never_said_to_take_less_more_than_it_has_more():
    """Small loads had reserves that they did not use: nothing follows for a large one."""
    sizes = {size: replace(KEY, context_tokens=1024 * size) for size in (1, 2, 4)}
    loads = seen(*[(key, size, 0.8 + size / 4) for size, key in sizes.items()])
    wanted = replace(KEY, context_tokens=16_384)
    assert loads.of(wanted, 16 * GIB).factor > 0.98


def test_loads_of_one_size_make_no_line():
    other = replace(KEY, context_tokens=512)
    loads = seen(*[(other, 1, 1.5)] * 3)
    assert loads.of(KEY, GIB).factor == loads.of(KEY).factor


def test_a_line_that_leads_below_nothing_is_not_followed():
    sizes = {size: replace(KEY, context_tokens=1024 * size) for size in (4, 5, 6)}
    loads = seen(*[(key, size, (size - 3.9) * 10) for size, key in sizes.items()])
    assert loads.of(KEY, GIB).factor == loads.of(KEY).factor


def test_less_than_reckoned_is_told_as_such():
    assert "took 10 % less than reckoned" in seen((KEY, 1, 0.9)).of(KEY).sentence


def test_small_differences_keep_their_digit_and_none_is_told_as_none():
    assert "took 0.4 % more than" in seen((KEY, 1, 1.004)).of(KEY).sentence
    assert "neither more nor less than reckoned" in seen((KEY, 1, 1)).of(KEY).sentence


def test_it_is_told_whose_loads_a_correction_rests_on():
    other = replace(KEY, context_tokens=512)
    assert "the last load of this model took" in seen((other, 1, 2)).of(KEY).sentence


def test_only_the_newest_loads_count():
    loads = seen(*[(KEY, 1, 3.0)] * 20, *[(KEY, 1, 1.1)] * OBSERVATIONS_KEPT)
    assert len(loads.seen[KEY]) == OBSERVATIONS_KEPT
    assert loads.of(KEY).error == pytest.approx(0.1)


def test_memory_is_bounded_and_the_oldest_goes():
    keys = [replace(KEY, model=f"model {number}") for number in range(KEYS_KEPT + 1)]
    loads = seen(*[(key, 1, 1) for key in keys])
    assert len(loads.seen) == KEYS_KEPT
    assert keys[0] not in loads.seen
    assert keys[-1] in loads.seen


def test_more_of_a_load_takes_the_place_of_what_was_known_of_it():
    corrections = Corrections()
    for measured in (100, 120, 150):
        corrections = corrections.and_seen(KEY, Observation(100, measured, 7.0))
    assert [one.measured_bytes for one in corrections.seen[KEY]] == [150]


@pytest.mark.parametrize(("predicted", "measured"), [(0, GIB), (GIB, 0), (-1, GIB)])
def test_nothing_is_learnt_of_what_has_no_size(predicted, measured):
    corrections = Corrections().and_seen(KEY, Observation(predicted, measured, 0.0))
    assert corrections.seen == {}


def test_what_is_known_says_how_good_it_was():
    corrections = Corrections()
    assert corrections.accuracy() is None
    for at, said in enumerate((None, 90, 110)):
        corrections = corrections.and_seen(KEY, Observation(50, 100, float(at), said))
    assert corrections.accuracy() == Accuracy(2, 0.5, pytest.approx(0.1))


sizes = st.integers(min_value=1, max_value=1 << 50)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 4]), sizes, sizes), max_size=12), sizes)
def test_no_correction_leaves_its_bounds(loads, predicted):
    corrections = Corrections()
    for number, (slots, said, measured) in enumerate(loads):
        one = Observation(said, measured, float(number))
        corrections = corrections.and_seen(replace(KEY, concurrency=slots), one)
    found = corrections.of(KEY, predicted)
    assert LOWEST_FACTOR - 1e-9 <= found.factor <= FACTOR_LIMIT + 1e-9

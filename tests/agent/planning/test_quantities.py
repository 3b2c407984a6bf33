from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.planning.quantities import counted, duration, parse, spoken


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1T", 1e12),
        ("405B", 405e9),
        ("405 b", 405e9),
        ("450B", 450e9),
        ("135m", 135e6),
        ("12k", 12_000),
        ("7.5e9", 7.5e9),
        ("7.5E+9", 7.5e9),
        ("1_000_000", 1e6),
        ("1,000,000", 1e6),
        ("1,500.5", 1500.5),
        ("1,500", 1500),
        ("12,500,000K", 12.5e9),
        ("1,500.5M", 1500.5e6),
        (".5T", 5e11),
        (" 90 ", 90),
        ("163.", 163),
    ],
)
def test_a_number_is_read_as_people_write_it(text, number):
    assert parse(text) == pytest.approx(number)


@pytest.mark.parametrize(
    "text",
    ["", "T", "nan", "inf", "-inf", "1e", "1.2.3", "12 apples", "1__", "1,00,000", "٣", "three"],
)
def test_what_is_no_number_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write it as 405B"):
        parse(text)


@pytest.mark.parametrize("text", ["0", "0.0T", "-1", "-405B"])
def test_nothing_and_less_are_refused(text):
    with pytest.raises(ValueError, match="not above zero"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("90,5", "90.5"),
        ("1,5T", "1.5T"),
        (",5", ".5"),
        ("1,5e9", "1.5e9"),
        ("0,125T", "0.125T"),
        ("0,500", "0.500"),
        ("007,500", "007.500"),
        ("1,500T", "1.500T, or without the comma: 1500T"),
        ("7,500 b", "7.500 b, or without the comma: 7500 b"),
        ("7,500e9", "7.500e9, or without the comma: 7500e9"),
    ],
)
def test_a_comma_before_the_tenths_is_never_read_as_a_larger_number(text, mend):
    with pytest.raises(ValueError, match=f"a point divides ones from tenths here: {mend}$"):
        parse(text)


def test_nothing_may_be_meant():
    assert parse("0", may_be_zero=True) == 0
    with pytest.raises(ValueError, match="-1 is below zero"):
        parse("-1", may_be_zero=True)


@pytest.mark.parametrize("text", ["1e30", "1e999", "9e20T"])
def test_more_than_can_be_meant_is_refused(text):
    with pytest.raises(ValueError, match="more than can be meant"):
        parse(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e12, "1 T"),
        (405e9, "405 B"),
        (1.35e8, "135 M"),
        (12_000, "12,000"),
        (2.5e15, "2500 T"),
        (0.45, "0.45"),
        (0, "0"),
        (100, "100"),
    ],
)
def test_a_number_is_spoken_shortly(number, text):
    assert spoken(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(2840.26, "2,840"), (3.14159, "3.14"), (99.96, "100"), (100, "100")]
)
def test_things_are_counted_whole_from_a_hundred_on(number, text):
    assert counted(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7_776_000, "90 days"),
        (3.1 * 365.25 * 86_400, "3.1 years"),
        (5000 * 365.25 * 86_400, "5,000 years"),
        (90_000, "25 hours"),
        (12.5, "12.5 seconds"),
    ],
)
def test_a_duration_comes_in_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text


@given(st.floats(min_value=1e-3, max_value=1e23))
def test_what_is_written_is_read_again(number):
    assert parse(repr(number)) == pytest.approx(number)
    assert parse(spoken(number)) == pytest.approx(number, rel=0.01)

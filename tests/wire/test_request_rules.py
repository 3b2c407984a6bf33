from __future__ import annotations

import pytest

from byoi_wire import request_rules as rules
from byoi_wire.request_rules import RequestInvalid


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal"),
        ("x", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_kinds_are_named_as_openai_names_them(value, kind):
    assert rules.kind_of(value) == kind


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0001, -0.1, True, "1"])
def test_numbers_stay_within_their_bounds(value):
    with pytest.raises(RequestInvalid):
        rules.number(0, 2)(value, "temperature")


def test_a_field_s_name_is_repeated_in_part_only():
    with pytest.raises(RequestInvalid) as refusal:
        rules.refuse_field("x" * 5000)
    assert len(refusal.value.message) < 300


def test_records_refuse_unknown_and_missing_fields_by_name():
    check = rules.record({"a": rules.boolean, "b": rules.boolean}, "a")
    check({"a": True, "b": None}, "r")
    with pytest.raises(RequestInvalid, match=r"r\.c"):
        check({"a": True, "c": 1}, "r")
    with pytest.raises(RequestInvalid, match=r"r\.a"):
        check({"b": True}, "r")
    with pytest.raises(RequestInvalid, match=r"r\.a"):
        check({"a": None}, "r")


def test_arrays_keep_to_their_lengths():
    check = rules.array(rules.boolean, most=2, least=1)
    check([True], "a")
    for value in ([], [True] * 3, [1], "x"):
        with pytest.raises(RequestInvalid):
            check(value, "a")

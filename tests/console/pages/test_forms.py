from __future__ import annotations

import pytest
from starlette.datastructures import FormData

from byoi_console.errors import InputInvalid
from byoi_console.pages.forms import choice_in, name_in, number_in


def test_a_name_is_one_line():
    assert name_in(FormData({"name": " a \n b\t"}), "name") == "a b"


@pytest.mark.parametrize("text", ["", "   ", "a" * 201])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(InputInvalid):
        name_in(FormData({"name": text}), "name")


@pytest.mark.parametrize(("text", "number"), [("", None), (" 7 ", 7), ("1,000", 1000), ("1", 1)])
def test_a_number_or_nothing(text, number):
    assert number_in(FormData({"n": text}), "n", "N", 1000) == number


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.5", "1e3", "٣", "9" * 99, "x"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(InputInvalid, match="N: a whole number from 1 to 1,000"):
        number_in(FormData({"n": text}), "n", "N", 1000)


def test_a_choice_is_one_of_those_offered():
    offered = {"a": 1, "b": 2}
    assert choice_in(FormData({"c": "b"}), "c", "C", offered) == "b"
    assert choice_in(FormData({}), "c", "C", offered) == "a"
    with pytest.raises(InputInvalid):
        choice_in(FormData({"c": "d"}), "c", "C", offered)

from __future__ import annotations

import math

import pytest

from byoi_agent.availability.sensors.face import idle_seconds, truth, words


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(1500, 1.5), (0, 0.0), (-1, None), (True, None), ("1", None), (None, None), (math.inf, None),
     (math.nan, None), (2**63, None)],
)  # fmt: skip
def test_only_a_possible_time_passes(told, seconds):
    assert idle_seconds(told, per_second=1000) == seconds


def test_only_yes_and_no_pass():
    assert [truth(told) for told in (True, False, 1, "yes", None)] == [
        True,
        False,
        None,
        None,
        None,
    ]


def test_a_name_is_one_line_of_bounded_length():
    assert words("a\x1b[31m\nb") == "a [31m b"
    assert len(words("x" * 10_000)) == 200
    assert [words(told) for told in ("", " \n", 7, None)] == [None] * 4

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.chart import chart, number
from byoi_agent.bench.figures import Level
from byoi_agent.bench.report import BenchReport, finished


def report(*rates, first=20.0):
    draft = BenchReport(
        model="smol", engine="e", at_ms=1, slots=None, context_tokens=None, prompt_tokens=1,
        output_tokens=1, seconds_per_level=1,
    )  # fmt: skip
    levels = [
        Level(2**at, 10.0, 9, first_token_ms_p50=first, tokens_per_second=rate)
        for at, rate in enumerate(rates)
    ]
    return finished(draft, levels, None, is_whole=True)


def test_bars_are_as_long_as_the_figures_and_the_knee_is_marked():
    lines = chart(report(50.0, 99.0, 100.0), 60).splitlines()
    assert lines[0].startswith("tokens a second")
    bars = [line.count("█") for line in lines[1:4]]
    assert bars[0] == pytest.approx(bars[2] / 2, abs=1)
    assert lines[2].endswith("99.0 ◂ knee")
    assert sum("knee" in line for line in lines) == 1
    assert "first token" in lines[5]


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=8), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(rates, width):
    for plain in (False, True):
        drawn = chart(report(*rates), width, is_plain=plain)
        assert max(map(len, drawn.splitlines())) <= max(width, 55)
        assert drawn.isascii() or not plain


def test_without_blocks_plain_characters_do():
    drawn = chart(report(50.0, 100.0), 60, is_plain=True)
    assert "#" in drawn
    assert "< knee" in drawn


def test_nothing_measured_draws_nothing_and_no_first_token_no_bars_of_it():
    assert chart(report(), 80) == ""
    assert "first token" not in chart(report(50.0, first=None), 80)
    assert chart(report(50.0, first=0.0), 80)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (12345.6, "12,346"), (99.96, "100.0"), (5.25, "5.2"), (0.01234, "0.0123")],
)
def test_figures_are_shown_with_what_they_are_worth(value, shown):
    assert number(value) == shown

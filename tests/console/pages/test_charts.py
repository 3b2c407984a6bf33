from __future__ import annotations

from itertools import pairwise

from byoi_console.pages.charts import NARROW, WIDE, chart


def test_the_highest_bar_reaches_the_top_and_all_stand_on_the_floor():
    drawn = chart([("a", 5, ""), ("b", 10, ""), ("c", 0, "")])
    low, high, nothing = drawn.bars
    assert high.y == drawn.top
    assert low.height * 2 == high.height
    assert {round(bar.y + bar.height, 1) for bar in drawn.bars} == {drawn.floor}
    assert nothing.height == 0
    assert drawn.highest == 10


def test_a_bar_for_little_can_be_seen():
    assert chart([("a", 1, ""), ("b", 10**9, "")]).bars[0].height > 1


def test_bars_stay_inside_and_apart_however_many_there_are():
    for width in (NARROW, WIDE):
        for count in (1, 7, 30, 366):
            bars = chart([("d", 1, "")] * count, width).bars
            assert bars[0].x >= 0
            assert bars[-1].x + bars[-1].width <= width
            assert all(a.x + a.width <= b.x for a, b in pairwise(bars))
            assert sum(1 for bar in bars if bar.label) <= 8


def test_no_values_are_an_empty_picture():
    assert chart([]).bars == ()

from __future__ import annotations

import click
import pytest

from byoi_agent.cli.numbers import Number, Share


def test_a_number_may_have_its_letter():
    assert Number().convert("405B", None, None) == 405e9


def test_a_default_is_one_already():
    assert Number().convert(8.0, None, None) == 8.0


@pytest.mark.parametrize("text", ["nan", "inf", "many", "-1", "0"])
def test_nonsense_is_a_wrong_command_line(text):
    with pytest.raises(click.BadParameter):
        Number().convert(text, None, None)


def test_beyond_its_bounds_it_is_told_them():
    with pytest.raises(click.BadParameter, match="not from 0 to 1000"):
        Number(most=1000).convert("2k", None, None)


def test_a_share_may_be_nothing():
    assert Share().convert("0", None, None) == 0
    assert Share().convert("0.2", None, None) == pytest.approx(0.2)
    assert Share().convert("0e0", None, None) == 0
    with pytest.raises(click.BadParameter, match=r"-0\.1 is below zero"):
        Share().convert("-0.1", None, None)

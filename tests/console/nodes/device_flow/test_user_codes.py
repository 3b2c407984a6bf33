from __future__ import annotations

import secrets

import pytest

from byoi_console.nodes.device_flow.user_codes import (
    ALPHABET,
    new_user_code,
    read_user_code,
    spelled,
)


@pytest.mark.parametrize(
    "typed", ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "Wd-jB--mJ ht", "WDJB\tMJHT\n"]
)
def test_dash_spaces_and_capitals_do_not_matter(typed):
    assert read_user_code(typed) == "WDJBMJHT"


@pytest.mark.parametrize(
    "typed", ["", "WDJB", "WDJB-MJHTX", "ADJB-MJHT", "WDJB-MJH1", "%", "W" * 10**6]
)
def test_what_no_device_shows_is_no_code(typed):
    assert read_user_code(typed) is None


def test_a_code_is_shown_in_two_halves_and_read_back():
    code = new_user_code(secrets.choice)
    assert len(code) == 8
    assert set(code) <= set(ALPHABET)
    assert read_user_code(spelled(code)) == code


def test_codes_have_34_bits():
    assert len(set(ALPHABET)) ** 8 > 2**34
    assert not set("AEIOUY01") & set(ALPHABET)

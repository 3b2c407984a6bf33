from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.control.guard import judge

GOOD = {"Host": "127.0.0.1:9000", "Authorization": "Bearer t0ken"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9000", "localhost:9000", "LocalHost:9000", "[::1]:9000"]
)
def test_the_owners_program_may_ask(host):
    assert judge({**GOOD, "Host": host}, 9000, "t0ken") == "allowed"


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:9000", "127.0.0.1", "127.0.0.1:9001"]
)
def test_a_rebound_name_is_forbidden_even_with_the_token(host):
    assert judge({**GOOD, "Host": host}, 9000, "t0ken") == "forbidden"


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://127.0.0.1:1", ""])
def test_another_pages_origin_is_forbidden_even_with_the_token(origin):
    assert judge({**GOOD, "Origin": origin}, 9000, "t0ken") == "forbidden"


def test_our_own_pages_origin_may_ask():
    assert judge({**GOOD, "Origin": "http://127.0.0.1:9000"}, 9000, "t0ken") == "allowed"


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic t0ken", "t0ken", "Bearer t0ken t0ken"]
)
def test_without_the_token_nothing_is_told(shown):
    assert judge({**GOOD, "Authorization": shown}, 9000, "t0ken") == "unauthorized"


@given(st.text(max_size=50))
def test_no_text_in_place_of_the_token_breaks_the_guard(shown):
    verdict = judge({**GOOD, "Authorization": f"Bearer {shown}"}, 9000, "t0ken")
    assert verdict == ("allowed" if shown.strip() == "t0ken" else "unauthorized")

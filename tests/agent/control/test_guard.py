from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.control.guard import judge, judge_page

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


OURS = {
    "Host": "127.0.0.1:9000",
    "Origin": "http://127.0.0.1:9000",
    "Sec-Fetch-Site": "same-origin",
}
SITES = st.sampled_from([None, "same-origin", "same-site", "cross-site", "none", "", "x"])
NAMES = st.sampled_from(
    ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", "evil.example", "127.0.0.1:9001", ""]
)
ORIGINS = NAMES.map(lambda name: f"http://{name}") | st.sampled_from([None, "null", ""])
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])


def headers_of(host, origin, site):
    given = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site}
    return {name: value for name, value in given.items() if value is not None}


def test_our_own_page_changes_what_it_shows_the_word_for():
    assert judge_page("POST", OURS, 9000, "word", "word") == "allowed"
    assert judge_page("POST", OURS, 9000, "word", "") == "forbidden"
    assert judge_page("GET", OURS, 9000, "word", "") == "allowed"


def test_an_old_browser_that_tells_no_site_may_ask_with_origin_and_word():
    headers = {name: value for name, value in OURS.items() if name != "Sec-Fetch-Site"}
    assert judge_page("POST", headers, 9000, "word", "word") == "allowed"


@given(METHODS, NAMES, ORIGINS, SITES, st.sampled_from(["word", "", "wor", "Word"]))
def test_nothing_is_changed_but_by_our_own_page_with_its_word(method, host, origin, site, shown):
    headers = headers_of(host, origin, site)
    verdict = judge_page(method, headers, 9000, "word", shown)
    ours = host in {"127.0.0.1:9000", "localhost:9000", "[::1]:9000"}
    if method in {"GET", "HEAD"}:
        allowed = ours and site in {None, "same-origin", "none"}
        allowed = allowed and origin in {None, *(f"http://{name}" for name in THIS_MACHINE)}
    else:
        same = origin == f"http://{host}"
        allowed = ours and same and site in {None, "same-origin"} and shown == "word"
    assert (verdict == "allowed") is allowed


THIS_MACHINE = ("127.0.0.1:9000", "localhost:9000", "[::1]:9000")


@given(st.dictionaries(st.sampled_from(["Host", "Origin", "Authorization"]), st.text(max_size=30)))
def test_no_headers_break_the_guard(headers):
    assert judge(headers, 9000, "t0ken") in {"forbidden", "unauthorized"}
    assert judge_page("POST", headers, 9000, "word", "word") == "forbidden"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.serving.local_door import is_from_programs, method_of, refusal
from byoi_wire.requests import ROUTES

CHAT = "/v1/chat/completions"
JSON = {"Host": "127.0.0.1:2964", "Content-Type": "application/json"}
HERE = ("127.0.0.1", "localhost", "[::1]", "host.docker.internal", "host.containers.internal")


def code(method, path, headers, key=None):
    no = refusal(method, path, headers, port=2964, key=key)
    return None if no is None else (no.status, no.code)


@pytest.mark.parametrize("host", HERE)
def test_programs_of_this_machine_may_ask(host):
    assert code("POST", CHAT, {**JSON, "Host": f"{host.upper()}:2964"}) is None


@given(st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40))
def test_no_other_name_may_stand_in_the_host(name):
    allowed = {f"{host}:2964" for host in HERE}
    assert is_from_programs({"Host": name}, 2964) is (name.lower() in allowed)
    assert not is_from_programs({"Host": f"{name}.evil.example:2964"}, 2964)


@given(st.text(max_size=40))
def test_whoever_has_an_origin_is_a_page_and_may_not(origin):
    assert not is_from_programs({"Host": "127.0.0.1:2964", "Origin": origin}, 2964)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:2964", "null", "app://obsidian.md", ""])
def test_not_even_a_page_of_this_machine(origin):
    assert code("POST", CHAT, {**JSON, "Origin": origin}) == (403, "not_a_local_program")


@pytest.mark.parametrize(
    ("site", "may"),
    [("none", True), ("cross-site", False), ("same-site", False), ("same-origin", False)],
)
def test_what_a_browser_fetches_by_itself_is_refused_also_without_an_origin(site, may):
    headers = {"Host": "127.0.0.1:2964", "Sec-Fetch-Site": site}
    assert is_from_programs(headers, 2964) is may


def test_without_a_host_or_at_another_port_nobody_may():
    assert not is_from_programs({}, 2964)
    assert not is_from_programs({"Host": "127.0.0.1"}, 2964)
    assert not is_from_programs({"Host": "127.0.0.1:2965"}, 2964)


@pytest.mark.parametrize(
    ("shown", "may"),
    [
        ("Bearer secret", True),
        ("bearer  secret ", True),
        ("Bearer secre", False),
        ("Bearer sécret", False),
        ("Basic secret", False),
        ("", False),
    ],
)
def test_the_key_is_asked_for_where_there_is_one(shown, may):
    headers = {**JSON, "Authorization": shown}
    expected = None if may else (401, "invalid_api_key")
    assert code("POST", CHAT, headers, key="secret") == expected
    assert code("POST", CHAT, headers) is None


def test_who_has_no_key_does_not_learn_what_is_here():
    assert code("GET", "/nothing", JSON, key="secret") == (401, "invalid_api_key")


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_route_that_an_engine_answers_is_asked_by_post(path):
    assert method_of(path) == "POST"
    no = refusal("GET", path, JSON, port=2964, key=None)
    assert (no.status, no.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models", "GET"),
        ("/v1/models/a", "GET"),
        ("/v1/models/owner/name", "GET"),
        ("/v1/models/", None),
        ("/v1/modelsx", None),
        ("/v1", None),
        ("/", None),
        ("/v1/chat/completions/", None),
    ],
)
def test_paths(path, method):
    assert method_of(path) == method
    if method is None:
        assert code("GET", path, JSON) == (404, "unknown_url")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; a=b"]
)
def test_what_a_page_may_send_without_asking_is_no_json(kind):
    headers = {**JSON, "Content-Type": kind}
    assert code("POST", CHAT, headers) == (415, "unsupported_media_type")


def test_json_with_a_charset_passes_and_nothing_compressed():
    assert code("POST", CHAT, {**JSON, "Content-Type": "Application/JSON; charset=utf-8"}) is None
    assert code("POST", CHAT, {**JSON, "Content-Encoding": "gzip"}) == (
        415,
        "unsupported_media_type",
    )

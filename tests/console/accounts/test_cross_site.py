from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_console.accounts.cross_site import check_origin, check_token
from byoi_console.errors import Forbidden

OWN = "https://console.example"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": OWN},
        {"origin": OWN, "host": "10.0.0.5:8700"},
        {"origin": "http://10.0.0.5:8700", "host": "10.0.0.5:8700"},
        {"sec-fetch-site": "same-origin", "origin": "https://anything"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_pages_and_programs_may(headers):
    check_origin(headers, OWN)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://evil.example", "host": "console.example"},
        {"origin": "https://console.example.evil.example"},
        {"origin": "null", "host": "console.example"},
        {"origin": "", "host": ""},
        {"origin": "null"},
        {"origin": "file://", "host": ""},
        {"origin": "http://[", "host": "console.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": OWN},
        {"sec-fetch-site": "cross-site", "origin": OWN},
    ],
)
def test_another_site_s_pages_may_not(headers):
    with pytest.raises(Forbidden):
        check_origin(headers, OWN)


def test_a_token_fits_whole_or_not_at_all():
    sign_in = SimpleNamespace(csrf_token="abc")
    check_token(sign_in, "abc")
    for given in ("", "ab", "abcd", "ABC", "äöü"):
        with pytest.raises(Forbidden):
            check_token(sign_in, given)

from __future__ import annotations

import pytest

from byoi_console.gateway.forwarded import Origin, Proxies
from byoi_console.gateway.http1 import RequestParser

TRUSTED = ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")


def request(*lines):
    parser = RequestParser()
    head = "".join(f"{line}\r\n" for line in ("GET / HTTP/1.1", "Host: a", *lines, ""))
    parser.feed(head.encode())
    return parser.next_request()


@pytest.mark.parametrize(
    ("peer", "lines", "origin"),
    [
        ("127.0.0.1", ["X-Forwarded-For: 203.0.113.9"], Origin("203.0.113.9", None)),
        ("127.0.0.1", ["X-Forwarded-For: 203.0.113.9:4711"], Origin("203.0.113.9", None)),
        ("127.0.0.1", ["X-Forwarded-For: [2001:db8::1]:99"], Origin("2001:db8::1", None)),
        ("127.0.0.1", ["X-Forwarded-For: 2001:db8::1"], Origin("2001:db8::1", None)),
        ("::ffff:127.0.0.1", ["X-Forwarded-For: 203.0.113.9"], Origin("203.0.113.9", None)),
        ("fd00::1", ["X-Forwarded-Proto: https"], Origin("fd00::1", "https")),
        ("127.0.0.1", ["X-Forwarded-Proto: HTTPS"], Origin("127.0.0.1", "https")),
        ("127.0.0.1", ["X-Forwarded-Proto: gopher"], Origin("127.0.0.1", None)),
        ("127.0.0.1", [], Origin("127.0.0.1", None)),
        ("127.0.0.1", ["X-Forwarded-For: unknown"], Origin("127.0.0.1", None)),
        ("127.0.0.1", ["X-Forwarded-For: 203.0.113.9, unknown"], Origin("127.0.0.1", None)),
        ("", ["X-Forwarded-For: 203.0.113.9"], Origin("", None)),
    ],
)
def test_a_trusted_proxy_says_whom_it_speaks_for(peer, lines, origin):
    assert Proxies(TRUSTED).origin_of(peer, request(*lines)) == origin


def test_what_a_client_made_up_stands_before_what_the_proxies_saw():
    lines = ("X-Forwarded-For: 1.1.1.1, 198.51.100.7", "X-Forwarded-For: 10.1.1.1")
    assert Proxies(TRUSTED).origin_of("127.0.0.1", request(*lines)).peer == "198.51.100.7"


def test_a_way_through_our_own_proxies_alone_names_the_first_of_them():
    told = request("X-Forwarded-For: 10.0.0.3, 10.0.0.2")
    assert Proxies(TRUSTED).origin_of("127.0.0.1", told).peer == "10.0.0.3"


def test_a_header_with_thousands_of_hops_is_read_from_its_end_only():
    told = request(f"X-Forwarded-For: 203.0.113.9, {', '.join(['10.0.0.1'] * 500)}")
    assert Proxies(TRUSTED).origin_of("127.0.0.1", told).peer == "10.0.0.1"


@pytest.mark.parametrize("networks", [(), ("192.0.2.0/24",)])
def test_a_stranger_s_headers_mean_nothing(networks):
    told = request("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https")
    assert Proxies(networks).origin_of("127.0.0.1", told) == Origin("127.0.0.1", None)

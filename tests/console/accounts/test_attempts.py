from __future__ import annotations

import pytest

from byoi_console.accounts.attempts import WrongAttempts, place_of
from byoi_console.errors import TooManyAttempts


def test_a_place_may_be_wrong_so_often_and_then_waits(clock):
    wrong = WrongAttempts(3, 10.0, clock.monotonic)
    for _ in range(3):
        wrong.check("here")
        wrong.failed("here")
    with pytest.raises(TooManyAttempts) as refusal:
        wrong.check("here")
    assert refusal.value.retry_after_seconds == pytest.approx(10.0)
    wrong.check("elsewhere")
    clock.seconds += 10.0
    wrong.check("here")


def test_failures_are_forgotten_in_time(clock):
    wrong = WrongAttempts(3, 10.0, clock.monotonic)
    for _ in range(3):
        wrong.failed("here")
    clock.seconds += 1000.0
    for _ in range(3):
        wrong.check("here")
        wrong.failed("here")


def test_only_so_many_places_are_remembered(clock):
    wrong = WrongAttempts(1, 10.0, clock.monotonic)
    for number in range(10_001):
        wrong.failed(str(number))
    wrong.check("0")
    with pytest.raises(TooManyAttempts):
        wrong.check("1")


def test_an_attempt_in_the_name_of_two_places_is_one_attempt(clock):
    wrong = WrongAttempts(1, 10.0, clock.monotonic)
    wrong.failed("address", "email")
    for place in ("address", "email"):
        with pytest.raises(TooManyAttempts):
            wrong.check(place)
    assert wrong.total == 1


@pytest.mark.parametrize(
    ("peer", "place"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_an_ipv6_address_stands_for_its_network(peer, place):
    assert place_of(peer) == place


def test_another_address_of_the_same_network_is_no_new_start(clock):
    wrong = WrongAttempts(2, 10.0, clock.monotonic)
    for peer in ("2001:db8::1", "2001:db8::2"):
        wrong.check(peer)
        wrong.failed(peer)
    with pytest.raises(TooManyAttempts):
        wrong.check("2001:db8::3")
    wrong.check("2001:db8:0:1::1")

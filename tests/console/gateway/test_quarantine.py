from __future__ import annotations

from byoi_console.gateway.quarantine import Quarantine


def test_the_second_death_refuses_a_request_for_ten_minutes():
    quarantine = Quarantine()
    quarantine.died(b"a", 0.0)
    assert not quarantine.refuses(b"a", 1.0)
    quarantine.died(b"a", 10.0)
    assert quarantine.refuses(b"a", 11.0)
    assert not quarantine.refuses(b"b", 11.0)
    assert not quarantine.refuses(b"a", 610.0)


def test_deaths_far_apart_are_not_the_request_s_fault():
    quarantine = Quarantine()
    quarantine.died(b"a", 0.0)
    quarantine.died(b"a", 700.0)
    assert not quarantine.refuses(b"a", 701.0)


def test_only_so_many_requests_are_remembered():
    quarantine = Quarantine()
    for n in range(5000):
        quarantine.died(b"%d" % n, 0.0)
        quarantine.died(b"%d" % n, 0.0)
    assert not quarantine.refuses(b"0", 1.0)
    assert quarantine.refuses(b"4999", 1.0)

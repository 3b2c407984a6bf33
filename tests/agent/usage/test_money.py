from __future__ import annotations

from byoi_agent.usage.money import Money, exact, in_units, moneys, summed, whole_nano


def test_sums_are_exact_and_each_currency_is_for_itself():
    tenths = [Money("EUR", whole_nano(exact(0.1)))] * 3
    sums = summed([*tenths, None, Money("CHF", 1)])
    assert sums == {"CHF": 1, "EUR": 300_000_000}
    assert in_units(sums) == {"CHF": 1e-9, "EUR": 0.3}
    assert moneys(sums) == (Money("CHF", 1), Money("EUR", 300_000_000))


def test_a_half_is_rounded_to_the_even_side_so_that_sums_do_not_drift():
    assert [whole_nano(exact(half)) for half in (0.5e-9, 1.5e-9, 2.5e-9)] == [0, 2, 2]

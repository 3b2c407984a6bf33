from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from byoi_console.pages.rendering import (
    age,
    browser,
    energy,
    environment,
    figure,
    milliseconds,
    number,
    plain_json,
    seconds,
    size,
    utc,
)

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (4, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (86_400, "1 day ago"),
        (60 * 86_400, "60 days ago"),
        (90 * 86_400, "3 months ago"),
        (-3600, "in 1 hour"),
        (-7 * 86_400, "in 7 days"),
    ],
)
def test_an_age_is_told_in_the_largest_unit(seconds, words):
    assert age(NOW_MS - seconds * 1000, NOW_MS) == words


def test_numbers_as_people_read_them():
    assert utc(NOW_MS) == "2027-01-15 08:00 UTC"
    assert (number(1234567), number(None)) == ("1,234,567", "\N{EN DASH}")
    assert [size(n) for n in (None, 0, 1023, 1536, 24 * 2**30, 3 * 2**41)] == [
        "\N{EN DASH}",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "24.0 GiB",
        "6.0 TiB",
    ]


def test_json_for_a_shell_cannot_end_its_quotes():
    assert plain_json({"a": "it's"}) == '{"a": "it\'\\\'\'s"}'


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "curl/8.5"),
        ("", ""),
    ],
)
def test_a_browser_is_called_as_people_call_it(agent, name):
    assert browser(agent) == name


def test_a_template_escapes_and_misses_nothing():
    template = environment().from_string("{{ text }}")
    assert template.render(text="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        template.render()


def test_energy_is_told_in_the_unit_that_people_pay_for():
    told = [energy(joules) for joules in (None, 0, 3.25, 812, 3600, 900_000, 9e6, 1e12)]
    assert told == ["\N{EN DASH}", "0.0 J", "3.2 J", "812 J", "1.0 Wh", "250.0 Wh", "2.5 kWh",
                    "277,777.8 kWh"]  # fmt: skip


def test_figures_have_the_places_that_say_something():
    assert [figure(n) for n in (0, 0.4, 0.05, 12.345, 95.0, 1100.4, 1e18)] == [
        "0", "0.4", "0.05", "12.3", "95", "1,100", "1,000,000,000,000,000,000",
    ]  # fmt: skip
    told = [seconds(n) for n in (0.44, 12.5, 100, 86_400)]
    assert told == ["0.4 s", "12 s", "2 min", "1,440 min"]
    assert [milliseconds(n) for n in (None, 80.2, 1234)] == ["\N{EN DASH}", "80 ms", "1.2 s"]

from __future__ import annotations

import pytest

from byoi_console.errors import InputInvalid
from byoi_console.pages.spans import span_of, today

NOW_MS = 1_800_000_000_000  # 2027-01-15


def test_a_day_is_one_in_utc():
    span = today(NOW_MS)
    assert span.days == ("2027-01-15",)
    assert span.to_ms - span.from_ms == 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("query", "count", "name"),
    [
        ({}, 7, "7d"),
        ({"range": "today"}, 1, "today"),
        ({"range": "30d"}, 30, "30d"),
        ({"range": "nonsense"}, 7, "7d"),
        ({"from": "2027-01-10"}, 6, ""),
        ({"to": "2027-01-10"}, 1, ""),
        ({"from": "2026-01-15", "to": "2027-01-15"}, 366, ""),
    ],
)
def test_what_is_asked_for_is_what_comes(query, count, name):
    span = span_of(query, NOW_MS)
    assert (len(span.days), span.name) == (count, name)
    assert span_of(span.query, NOW_MS) == span


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2027-02-30"},
        {"from": "2027-01-16"},
        {"from": "2020-01-01"},
        {"from": "0001-01-01", "to": "0001-01-02"},
    ],
)
def test_what_is_no_span_is_refused(query):
    with pytest.raises(InputInvalid):
        span_of(query, NOW_MS)

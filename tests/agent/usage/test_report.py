from __future__ import annotations

import pytest

from byoi_agent.usage.report import UsageFilter, UsageTotals, UsageUnreadable, read_report
from byoi_wire.usage import Usage

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def path(new_outbox, record, tmp_path):
    async with new_outbox() as outbox:
        await outbox.commit(record(1))
        await outbox.commit(record(2))
        await outbox.commit(record(3, outcome="cancelled", usage=Usage(prompt_tokens=7)))
        await outbox.commit(record(4, started_at_ms=1_800_000_000_000 + DAY_MS, model="large"))
    return tmp_path / "state" / "usage.db"


def test_rows_per_day_model_and_outcome_with_totals(path):
    report = read_report(path)
    assert [tuple(row[:7]) for row in report.rows] == [
        ("2027-01-15", "small", "cancelled", 1, 7, 0, 0),
        ("2027-01-15", "small", "complete", 2, 20, 10, 8),
        ("2027-01-16", "large", "complete", 1, 10, 5, 4),
    ]
    assert report.totals == UsageTotals(4, 37, 15, 12, 52)
    assert report.rows[1].total_tokens == 30


@pytest.mark.parametrize(
    ("chosen", "requests"),
    [
        (UsageFilter(since="2027-01-16"), 1),
        (UsageFilter(until="2027-01-15"), 3),
        (UsageFilter(model="large"), 1),
        (UsageFilter(model="' OR 1=1 --"), 0),
    ],
)
def test_filters(path, chosen, requests):
    assert read_report(path, chosen).totals.requests == requests


def test_reading_changes_nothing_and_leaves_nothing(path):
    before = path.read_bytes()
    read_report(path)
    assert path.read_bytes() == before


def test_no_file_is_told_in_words(tmp_path):
    with pytest.raises(UsageUnreadable, match="no usage has been recorded yet"):
        read_report(tmp_path / "usage.db")


def test_another_file_is_told_in_words(tmp_path):
    (tmp_path / "usage.db").write_text("not a database at all, for sure" * 100)
    with pytest.raises(UsageUnreadable, match="cannot be read"):
        read_report(tmp_path / "usage.db")

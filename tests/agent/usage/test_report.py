from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from byoi_agent.usage import report, schema
from byoi_agent.usage.money import Money
from byoi_agent.usage.report import (
    UsageFilter,
    UsageRow,
    UsageTotals,
    UsageUnreadable,
    Worth,
    read_report,
    reading,
)
from byoi_agent.usage.value import Value
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
    found = read_report(path)
    assert [tuple(row[:7]) for row in found.rows] == [
        ("2027-01-15", "small", "cancelled", 1, 7, 0, 0),
        ("2027-01-15", "small", "complete", 2, 20, 10, 8),
        ("2027-01-16", "large", "complete", 1, 10, 5, 4),
    ]
    assert found.totals == UsageTotals(4, 37, 15, 12, 52)
    assert found.rows[1].total_tokens == 30


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
    with pytest.raises(UsageUnreadable, match=r"cannot be read.*start: byoi run"):
        read_report(tmp_path / "usage.db")


def test_on_a_disk_that_is_read_only_it_is_read_without_a_file_beside_it(path, monkeypatch):
    monkeypatch.setattr(report.os, "access", lambda *_: False)
    with reading(path) as database:
        assert database.execute("SELECT count(*) FROM records").fetchone() == (4,)
        assert list(path.parent.iterdir()) == [path]


def test_what_is_only_in_the_log_so_far_is_read_where_nothing_can_be_made(path, monkeypatch):
    monkeypatch.setattr(report.os, "access", lambda *_: False)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("DELETE FROM records WHERE model = 'large'")
        writer.commit()
        assert read_report(path).totals.requests == 3


def test_a_file_that_no_newer_agent_has_opened_yet_is_read_all_the_same(tmp_path):
    old = tmp_path / "usage.db"
    with closing(sqlite3.connect(old)) as database:
        for statement in schema._MIGRATIONS[0]:
            database.execute(statement)
        database.execute("PRAGMA user_version = 1")
        database.execute(
            "INSERT INTO records VALUES (1, 'r', 1, '2026-01-01', 'smol', 'complete', 1, 2, 0,"
            " '{}', 'k', 's', NULL)"
        )
        database.commit()
    found = read_report(old)
    assert found.rows == (UsageRow("2026-01-01", "smol", "complete", 1, 1, 2, 0),)
    assert found.energy == ()


async def test_rows_of_which_some_were_measured_or_priced_say_how_many(new_outbox, record):
    values = iter(
        [
            Value(1_000_000, Money("EUR", 5), Money("EUR", 2)),
            Value(),
            Value(2_000_000, Money("USD", 7), None),
            Value(None, Money("EUR", 1), None),
        ]
    )
    async with new_outbox(value=lambda _: next(values)) as outbox:
        for number in range(4):
            await outbox.commit(record(number))
        (row,) = (await outbox.report()).rows
    assert (row.requests, row.prompt_tokens) == (4, 40)
    assert row.worth == Worth(
        2, 3, 3_000_000, (Money("EUR", 6), Money("USD", 7)), (Money("EUR", 2),)
    )

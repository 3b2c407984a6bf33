from __future__ import annotations

import pytest
from sqlalchemy import insert

from byoi_console.ledger.usage import UsageFilter, UsageQueries
from byoi_console.store.tables import api_keys, ledger_rows

START_MS = 1_800_000_000_000
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def queries(database, org_id):
    def row(number, day, **changes):
        return {
            "request_id": f"req_{number}",
            "attempt": 1,
            "org_id": org_id,
            "api_key_id": "key_1",
            "node_id": "node_1",
            "model": "m",
            "route": "/v1/chat/completions",
            "price_version": 0,
            "outcome": "complete",
            "status": 200,
            "started_at_ms": START_MS + day * DAY_MS,
            "day": f"2027-01-{15 + day}",
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "joules": None,
            "is_uncounted": False,
            "has_difference": False,
        } | changes

    rows = [
        row(1, 1, model="large", completion_tokens=500, joules=40.5),
        row(2, 0, joules=0.0),
        row(3, 0, outcome="failed", joules=2.25),
        row(4, 0, outcome="cancelled", api_key_id="key_gone"),
        row(5, 0, org_id="org_other", completion_tokens=10**6),
    ]
    key = {"id": "key_1", "org_id": org_id, "name": "website", "scope": "inference"}
    key |= {"key_hash": "h", "prefix": "sk-byoi-", "created_at_ms": 0, "revoked_at_ms": 1}
    async with database.write() as connection:
        await connection.execute(insert(ledger_rows), rows)
        await connection.execute(insert(api_keys).values(key))
    return UsageQueries(database)


async def test_days_come_in_their_order_and_all_else_by_its_size(queries, org_id):
    days = await queries.sums(UsageFilter(org_id), "day")
    assert [(each.value, each.requests, each.failed) for each in days] == [
        ("2027-01-15", 3, 1),
        ("2027-01-16", 1, 0),
    ]
    models = await queries.sums(UsageFilter(org_id), "model")
    assert [(each.value, each.total_tokens) for each in models] == [("large", 510), ("m", 45)]


async def test_keys_have_their_names_even_revoked_and_unknown_ones_none(queries, org_id):
    keys = await queries.sums(UsageFilter(org_id), "api_key_id")
    assert [(each.value, each.name, each.requests) for each in keys] == [
        ("key_1", "website", 3),
        ("key_gone", None, 1),
    ]


async def test_a_filter_counts_in_every_dimension(queries, org_id):
    wanted = UsageFilter(org_id, from_ms=START_MS, to_ms=START_MS + DAY_MS, model="m")
    for by in ("day", "model", "node_id", "api_key_id"):
        assert sum(each.requests for each in await queries.sums(wanted, by)) == 3
    assert await queries.sums(UsageFilter("org_none"), "day") == []


async def test_energy_is_summed_as_far_as_it_is_known(queries, org_id):
    keys = await queries.sums(UsageFilter(org_id), "api_key_id")
    assert [(each.value, each.joules) for each in keys] == [("key_1", 42.75), ("key_gone", None)]
    report = await queries.report(UsageFilter(org_id))
    assert (report.totals["joules"], report.totals["joules_requests"]) == (42.75, 3)
    unknown = [row for row in report.rows if row["api_key_id"] == "key_gone"]
    assert [(row["joules"], row["joules_requests"]) for row in unknown] == [(None, 0)]
    rows, _ = await queries.requests(UsageFilter(org_id), 10, None)
    assert [row["joules"] for row in rows] == [40.5, None, 2.25, 0.0]

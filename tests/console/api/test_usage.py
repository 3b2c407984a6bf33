from __future__ import annotations

import asyncio

import pytest

from byoi_console.ledger.entries import Posting
from byoi_console.ledger.postings import Ledger
from byoi_console.ledger.tickets import Tickets
from byoi_wire.usage import Usage

DAY_MS = 86_400_000
START_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z


def posting(number, org_id, **changes):
    values = {
        "request_id": f"req_{number:03}",
        "attempt": 1,
        "org_id": org_id,
        "api_key_id": "key_a",
        "node_id": "node_1",
        "model": "m",
        "route": "/v1/chat/completions",
        "outcome": "complete",
        "status": 200,
        "usage": Usage(prompt_tokens=10, completion_tokens=number, cached_tokens=4),
        "counted_by": "engine",
        "finish_reason": "stop",
        "error_code": None,
        "started_at_ms": START_MS + number,
        "first_token_ms": 1.0,
        "duration_ms": 2.0,
        "delivered_events": number,
        "delivered_bytes": 200 * number,
    }
    return Posting(**{**values, **changes})


@pytest.fixture
async def book(database, audit):
    ledger = Ledger(database, audit, Tickets(b"s" * 32))

    async def book(*postings):
        async with asyncio.TaskGroup() as tasks:
            for each in postings:
                tasks.create_task(ledger.post(each))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(ledger.run())
        yield book
        running.cancel()


async def test_without_requests_all_is_zero(api):
    report = (await api("GET", "/api/usage")).json
    assert report == {
        "rows": [],
        "totals": {
            "requests": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cached_tokens": 0,
            "total_tokens": 0,
            "joules": None,
            "joules_requests": 0,
        },
    }


@pytest.mark.parametrize("path", ["/api/usage", "/api/usage/requests"])
async def test_a_report_waits_for_what_the_ledger_was_told_before(api, rooms, path):
    await api("GET", path)
    assert rooms.state.caught_up == 1


async def test_rows_are_sums_by_day_model_node_key_and_outcome(api, book, org_id):
    await book(
        posting(1, org_id),
        posting(2, org_id),
        posting(3, org_id, node_id="node_2"),
        posting(4, org_id, outcome="cancelled", counted_by="events"),
        posting(5, org_id, started_at_ms=START_MS + DAY_MS),
        posting(6, "org_other"),
    )
    report = (await api("GET", "/api/usage")).json
    assert report["rows"][1] == {
        "day": "2027-01-15",
        "model": "m",
        "node_id": "node_1",
        "api_key_id": "key_a",
        "outcome": "complete",
        "requests": 2,
        "prompt_tokens": 20,
        "completion_tokens": 3,
        "cached_tokens": 8,
        "total_tokens": 23,
        "joules": None,
        "joules_requests": 0,
    }
    assert len(report["rows"]) == 4
    assert report["totals"] == {
        "requests": 5,
        "prompt_tokens": 50,
        "completion_tokens": 15,
        "cached_tokens": 20,
        "total_tokens": 65,
        "joules": None,
        "joules_requests": 0,
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("node=node_2", [2]),
        ("key=key_b", [3]),
        ("model=n", [4]),
        ("from=2027-01-16", [5]),
        ("to=2027-01-15", [1, 2, 3, 4]),
        ("from=2027-01-15&to=2027-01-16", [1, 2, 3, 4, 5]),
        ("from=2027-01-15T08:00:00.003Z&to=2027-01-15T08:00:00.004Z", [3]),
        ("from=2027-01-15T09:00:00.003%2B01:00&to=2027-01-15T08:00:00.004", [3]),
        ("model=none", []),
    ],
)
async def test_what_counts_can_be_chosen(api, book, org_id, query, numbers):
    await book(
        posting(1, org_id),
        posting(2, org_id, node_id="node_2"),
        posting(3, org_id, api_key_id="key_b"),
        posting(4, org_id, model="n"),
        posting(5, org_id, started_at_ms=START_MS + DAY_MS),
    )
    totals = (await api("GET", f"/api/usage?{query}")).json["totals"]
    assert totals["requests"] == len(numbers)
    assert totals["completion_tokens"] == sum(numbers)
    rows = (await api("GET", f"/api/usage/requests?{query}")).json["rows"]
    assert [row["completion_tokens"] for row in rows] == numbers[::-1]


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=2027-13-01", "from=9999-99-99T", "to=9999-12-31", "from=%00"]
)
async def test_a_time_that_is_none_is_named(api, query):
    answer = await api("GET", f"/api/usage?{query}")
    assert answer.status == 400
    assert answer.json["error"]["param"] == query.partition("=")[0]


async def test_single_rows_come_newest_first_page_by_page(api, book, org_id):
    await book(*(posting(number, org_id) for number in range(1, 8)))
    seen, target = [], "/api/usage/requests?limit=3"
    while target:
        page = (await api("GET", target)).json
        seen.append([row["request_id"] for row in page["rows"]])
        following = page["next"]
        target = following and f"/api/usage/requests?limit=3&after={following}"
    assert [len(page) for page in seen] == [3, 3, 1]
    assert [name for names in seen for name in names] == [
        f"req_{number:03}" for number in range(7, 0, -1)
    ]


async def test_a_row_shows_both_counts_and_its_flags(api, book, org_id):
    await book(posting(1, org_id))
    (row,) = (await api("GET", "/api/usage/requests")).json["rows"]
    assert row["counted"]["usage"]["completion_tokens"] == 1
    assert row["claimed"] is None
    assert (row["is_uncounted"], row["has_difference"]) == (False, False)
    assert (row["outcome"], row["total_tokens"]) == ("complete", 11)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=٣",
        "after=x",
        "after=1:2",
        "after=1:x:r",
        f"after={10**20}:1:r",
    ],
)
async def test_a_page_that_cannot_be_is_refused(api, query):
    answer = await api("GET", f"/api/usage/requests?{query}")
    assert answer.status == 400
    assert answer.json["error"]["param"] == query.partition("=")[0]


async def test_an_inference_key_sees_its_own_usage_only(api, book, org_id):
    made = (await api("POST", "/api/keys", {"name": "x"})).json
    header = f"Bearer {made['key']}"
    await book(posting(1, org_id), posting(2, org_id, api_key_id=made["id"]))
    report = (await api("GET", "/api/usage", authorization=header)).json
    assert report["totals"]["completion_tokens"] == 2
    own = await api("GET", f"/api/usage?key={made['id']}", authorization=header)
    assert own.json == report
    other = await api("GET", "/api/usage?key=key_a", authorization=header)
    assert other.status == 403
    rows = (await api("GET", "/api/usage/requests", authorization=header)).json["rows"]
    assert [row["request_id"] for row in rows] == ["req_002"]

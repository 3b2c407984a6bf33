from __future__ import annotations

import csv
import io
import itertools

import pytest
from sqlalchemy import insert

from byoi_console.accounts.keys import KeyRequest
from byoi_console.store.tables import ledger_rows

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def booked(database, person, clock):
    """Puts rows into the ledger as the gateway would."""

    numbers = itertools.count()

    async def book(count=1, **changes):
        now_ms = clock.now_ms()
        row = {
            "attempt": 1,
            "org_id": person.org_id,
            "api_key_id": "key_1",
            "node_id": "node_1",
            "model": "m",
            "route": "/v1/chat/completions",
            "price_version": 0,
            "outcome": "complete",
            "status": 200,
            "started_at_ms": now_ms,
            "day": "2027-01-15",
            "prompt_tokens": 1000,
            "completion_tokens": 234,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "is_uncounted": False,
            "has_difference": False,
        } | changes
        names = [f"req_{next(numbers)}" for _ in range(count)]
        async with database.write() as connection:
            rows = [{**row, "request_id": name} for name in names]
            await connection.execute(insert(ledger_rows), rows)

    return book


async def test_an_organisation_without_usage_is_told_what_to_do(browser):
    page = (await browser.get("/usage")).text
    assert "Nothing was asked in these days" in page
    assert "/keys/new" in page


async def test_sums_by_model_node_key_and_day(browser, rooms, person, booked):
    key = (await rooms.keys.create(person.org_id, KeyRequest(name="website"), "x")).facts.id
    await booked(3, api_key_id=key)
    await booked(1, model="other", outcome="failed")
    page = (await browser.get("/usage")).text
    assert "4,000" in page
    assert "936" in page
    assert ">website</a>" in page, "keys are shown by their names"
    assert "2027-01-15: 4,936 tokens, 4 requests" in page
    assert ">1</dd>" in page, "one has failed"


async def test_a_key_that_is_revoked_keeps_its_name(browser, rooms, person, booked):
    key = (await rooms.keys.create(person.org_id, KeyRequest(name="gone"), "x")).facts.id
    await booked(api_key_id=key)
    await rooms.keys.revoke(person.org_id, key, "x")
    assert ">gone</a>" in (await browser.get("/usage")).text


async def test_a_span_and_filters_choose_rows(browser, clock, booked):
    await booked(2, model="a")
    await booked(1, model="b", started_at_ms=clock.now_ms() - 20 * DAY_MS, day="2026-12-26")
    assert ">2</dd>" in (await browser.get("/usage")).text
    assert ">3</dd>" in (await browser.get("/usage?range=30d")).text
    assert ">1</dd>" in (await browser.get("/usage?range=30d&model=b")).text
    page = await browser.get("/usage?from=2026-12-26&to=2026-12-26")
    assert ">1</dd>" in page.text
    assert ">0</dd>" in (await browser.get("/usage?range=30d&model=c")).text


@pytest.mark.parametrize(
    "query",
    ["from=x", "from=2027-01-02&to=2027-01-01", "from=2020-01-01&to=2027-01-01", "to=9999-12-31"],
)
async def test_a_span_that_cannot_be_is_told_and_a_week_is_shown(browser, query):
    answer = await browser.get(f"/usage?{query}")
    assert answer.status == 400
    assert "Usage" in answer.text
    assert (await browser.get(f"/usage.csv?{query}")).status == 400


async def test_the_csv_has_every_row_and_no_formula(browser, booked):
    await booked(2, model="=HYPERLINK(1)")
    await booked(1, model='a,"b"\r\nc')
    answer = await browser.get("/usage.csv?range=today")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="usage-2027-01-15-2027-01-15.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert {row["model"] for row in rows} == {"'=HYPERLINK(1)", 'a,"b"\r\nc'}
    assert {row["requests"] for row in rows} == {"2", "1"}


async def test_very_many_models_are_shown_in_part(browser, booked):
    for number in range(60):
        await booked(model=f"model-{number:02}")
    page = (await browser.get("/usage")).text
    assert page.count('class="meter"') == 50 + 1 + 1, "models, one node, one key"
    assert "And 10 more" in page


async def test_another_organisation_s_usage_is_not_shown(browser, booked):
    await booked(5, org_id="org_other")
    assert "Nothing was asked" in (await browser.get("/usage")).text
    assert len((await browser.get("/usage.csv")).text.splitlines()) == 1


async def test_energy_is_shown_where_a_node_has_measured_it(browser, booked):
    await booked(2)
    assert "Energy" not in (await browser.get("/usage")).text
    await booked(1, model="measured", joules=7200.0)
    page = (await browser.get("/usage")).text
    assert "as far as nodes measure it" in page
    assert "2.0 Wh" in page
    table = (await browser.get("/usage.csv")).text
    head, *rows = csv.reader(io.StringIO(table))
    energy = {row[head.index("model")]: row[head.index("joules") :] for row in rows}
    assert energy == {"m": ["", "0"], "measured": ["7200.0", "1"]}

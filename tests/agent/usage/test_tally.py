from __future__ import annotations

import pytest

from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals
from byoi_agent.usage.tally import RATE_SECONDS, Ended, Tally
from byoi_wire.usage import Usage, UsageRecord

DAY = 1_800_000_000 // 86400 * 86400
MODEL = "smol"


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return 1000.0 + self.now

    def wall(self):
        return DAY + 3600 + self.now


class Keeper:
    refusal = "usage_storage_full"
    fault = None

    async def commit(self, record):
        if self.fault:
            raise self.fault


def a_record(outcome="complete", at=DAY + 3600, **changes):
    facts = {
        "request_id": "r",
        "attempt": 1,
        "ticket": "",
        "node_id": "n",
        "model": MODEL,
        "route": "/v1/chat/completions",
        "outcome": outcome,
        "status": 200,
        "usage": Usage(prompt_tokens=10, completion_tokens=30, cached_tokens=4),
        "counted_by": "engine",
        "started_at_ms": int(at * 1000),
        "first_token_ms": 200.0,
        "duration_ms": 900_000.0,
    }
    return UsageRecord(**{**facts, **changes})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def tally(keeper, clock):
    return Tally(keeper, clock)


async def test_what_was_kept_is_counted_by_model_and_outcome(tally):
    await tally.commit(a_record())
    await tally.commit(a_record("failed"))
    view = tally.view()
    assert view.requests == {Ended(MODEL, "complete"): 1, Ended(MODEL, "failed"): 1}
    assert (view.prompt_tokens[MODEL], view.completion_tokens[MODEL]) == (20, 60)
    assert view.cached_tokens[MODEL] == 8


async def test_what_was_not_kept_is_not_counted(tally, keeper):
    keeper.fault = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await tally.commit(a_record())
    assert tally.view().requests == {}
    assert tally.refusal == "usage_storage_full"


async def test_times_fall_into_buckets_and_a_request_without_a_token_into_none(tally):
    await tally.commit(a_record())
    await tally.commit(a_record(first_token_ms=None, duration_ms=100.0))
    view = tally.view()
    assert sum(view.first_token.counts) == 1
    assert view.first_token.counts[view.first_token.bounds.index(0.25)] == 1
    assert (view.duration.counts[0], view.duration.counts[-1]) == (1, 1)
    assert view.duration.sum_seconds == pytest.approx(900.1)


async def test_tokens_a_second_are_those_of_the_last_minute(tally, clock):
    for _ in range(3):
        await tally.commit(a_record())
    clock.now += 1
    await tally.commit(a_record())
    assert tally.view().tokens_per_second == pytest.approx(120 / RATE_SECONDS)
    clock.now += RATE_SECONDS - 0.5
    assert tally.view().tokens_per_second == pytest.approx(30 / RATE_SECONDS)
    clock.now += 1
    assert tally.view().tokens_per_second == 0


async def test_today_goes_on_from_what_the_file_has_and_begins_anew_at_midnight(tally, clock):
    today, earlier = "2027-01-15", "2027-01-14"
    rows = (
        UsageRow(earlier, MODEL, "complete", 9, 9, 9, 9),
        UsageRow(today, MODEL, "complete", 1, 5, 6, 2),
    )
    tally.begin(UsageReport(rows, UsageTotals()))
    await tally.commit(a_record())
    await tally.commit(a_record(at=DAY - 60))  # began yesterday, as the report counts it
    assert tally.view().today == UsageTotals(2, 15, 36, 6, 51)
    clock.now += 86400
    assert tally.view().today == UsageTotals()

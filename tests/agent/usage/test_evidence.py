from __future__ import annotations

import pytest

from byoi_agent.usage.evidence import REQUESTS, Evidence, Measurement
from byoi_agent.usage.policy import Experience
from byoi_agent.usage.value import Value
from byoi_wire.usage import Usage

USAGE = Usage(prompt_tokens=10, completion_tokens=5, cached_tokens=4)


def test_of_a_model_the_newest_requests_count():
    evidence = Evidence()
    evidence.add(Measurement("smol", 1e6, USAGE))
    for _ in range(REQUESTS):
        evidence.add(Measurement("smol", 2.0, USAGE))
    known = evidence.of("smol")
    assert (known.requests, known.tokens) == (REQUESTS, 15 * REQUESTS)
    assert known.joules == pytest.approx(2.0 * REQUESTS)
    assert evidence.of("large") == Experience()


async def test_the_files_newest_measured_records_are_read_oldest_first(new_outbox, record):
    values = {"req-1": Value(1_000_000), "req-2": Value(), "req-3": Value(3_000_000)}
    async with new_outbox(value=lambda one: values[one.request_id]) as outbox:
        for number in (1, 2, 3):
            await outbox.commit(record(number))
        found = await outbox.evidence(10)
        newest = await outbox.evidence(1)
    assert found == [Measurement("small", 1.0, USAGE), Measurement("small", 3.0, USAGE)]
    assert newest == found[1:]

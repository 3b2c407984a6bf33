from __future__ import annotations

import pytest

from byoi_agent.engine.kinds import probes
from byoi_agent.errors import EngineError


@pytest.mark.parametrize(
    "answer", [(500, {}), (302, {}), (200, b"<html>"), (200, [1]), (200, b"[" * 100_000)]
)
async def test_only_a_json_object_with_status_200_is_an_answer(engine, answer):
    engine.table["/x"] = answer
    with pytest.raises(EngineError):
        await probes.ask(engine.client, "GET", "/x")


async def test_only_entries_with_an_id_are_models(engine):
    engine.table["/v1/models"] = (200, {"data": [{"id": "a"}, {"id": 1}, "b", {}]})
    assert await probes.listed_models(engine.client) == [{"id": "a"}]
    engine.table["/v1/models"] = (200, {"data": "odd"})
    assert await probes.listed_models(engine.client) == []


async def test_one_token_is_asked_for_and_must_come(engine):
    engine.table[probes.CHAT] = (200, {"choices": [{"index": 0}]})
    await probes.one_token(engine.client, "a")
    assert engine.asked[0][2]["max_tokens"] == 1
    engine.table[probes.CHAT] = (200, {"error": "x"})
    with pytest.raises(EngineError, match="without a choice"):
        await probes.one_token(engine.client, "a")


@pytest.mark.parametrize(
    ("value", "count"), [(5, 5), (0, None), (-1, None), (True, None), ("5", None), (None, None)]
)
def test_a_count_is_a_positive_whole_number(value, count):
    assert probes.positive(value) == count

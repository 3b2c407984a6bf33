"""The machine is its owner's again: what becomes of the requests that are here."""

from __future__ import annotations

import asyncio

import pytest

from byoi_agent.serving import relay as relay_module
from byoi_wire.usage import Usage

CUT = ("HANDED_BACK", "the node's owner needs the machine")


async def test_what_runs_is_cut_at_the_engine_in_this_turn_and_told_after_its_record(node, say):
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    node.dispatcher.hand_back("fullscreen")
    assert request.exchange.is_aborted
    assert node.resets == []
    await say.turns()
    assert node.resets == [CUT]
    assert node.names()[-2:] == ["commit", "reset"]
    record = node.record
    assert (record.outcome, record.error_code, record.status) == ("failed", "handed_back", 200)
    assert (record.usage, record.counted_by) == (node.engine.counted, "tokenizer")


async def test_what_waits_goes_back_with_the_reason_and_leaves_no_record(node, say):
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    node.dispatcher.hand_back("foreign_gpu")
    await say.turns()
    assert sorted(node.resets) == [CUT, CUT, ("REFUSED", "foreign_gpu")]
    assert len(node.records) == 2
    assert node.dispatcher.load == (0, 0)


async def test_a_plain_answer_is_handed_back_as_well(node, say):
    _, request = await node.ask(say.chat(stream=False, stream_options=None))
    node.dispatcher.hand_back("paused")
    await say.turns()
    assert request.exchange.is_aborted
    assert node.resets == [CUT]
    assert (node.record.error_code, node.record.status) == ("handed_back", 503)


async def test_the_count_does_not_keep_the_machine_from_its_owner(node, say, monkeypatch):
    monkeypatch.setattr(relay_module, "HANDING_BACK_SECONDS", 0.0)
    node.engine.count_gate.clear()
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    node.dispatcher.hand_back("input")
    await asyncio.wait_for(node.dispatcher.idle(), 1)
    assert (node.record.usage, node.record.counted_by) == (Usage(completion_tokens=1), "events")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_request_is_handed_back_once(node, say, times):
    await node.ask()
    for _ in range(times):
        node.dispatcher.hand_back("input")
    await say.turns()
    assert node.resets == [CUT]
    assert len(node.records) == 1


async def test_the_next_request_is_served_as_if_nothing_had_been(node, say):
    await node.ask()
    node.dispatcher.hand_back("input")
    await say.turns()
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.records[-1].outcome == "complete"

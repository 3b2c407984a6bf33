from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.errors import EngineError
from byoi_agent.serving import relay as relay_module
from byoi_agent.usage.outbox import OutboxFull
from byoi_wire.messages import ResetCode
from byoi_wire.usage import Usage

COUNTED = Usage(prompt_tokens=9, completion_tokens=2)
BY_TOKENIZER = Usage(prompt_tokens=11, completion_tokens=7)


# A good answer


async def test_a_stream_passes_untouched_and_its_record_comes_before_its_end(node, say):
    _, request = await node.ask()
    request.head()
    assert node.log == []
    request.events(say.word("Hel"), say.word("lo"), say.finish())
    await say.turns()
    assert node.names() == ["head", "data", "data", "data"]
    request.events(say.usage(), say.DONE)
    request.end()
    await say.turns()
    whole = b"".join([say.word("Hel"), say.word("lo"), say.finish(), say.usage(), say.DONE])
    assert node.sent == whole
    assert node.heads == [(200, {"content-type": "text/event-stream; charset=utf-8"})]
    assert node.names()[4:6] == ["commit", "data"]
    record = node.record
    assert (record.outcome, record.status, record.finish_reason) == ("complete", 200, "stop")
    assert (record.usage, record.counted_by) == (COUNTED, "engine")
    assert (record.ticket, record.node_id, record.route) == ("ticket", "node", request.path)
    assert record.sent_bytes == len(whole)
    assert record.first_token_ms == 0.0
    assert (node.trailer.usage, node.trailer.finish_reason) == (COUNTED, "stop")
    assert not node.resets


async def test_what_reaches_the_engine(node, say):
    _, request = await node.ask()
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers == {"content-type": "application/json", "accept": "text/event-stream"}
    assert request.body == json.dumps(say.chat()).encode()
    assert node.session.consumed_bytes == len(request.body)


async def test_no_last_byte_and_no_end_before_the_record_is_durable(node, say):
    node.outbox.gate.clear()
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage() + say.DONE)
    request.end()
    await say.turns(30)
    assert node.sent == say.word("Hi") + say.finish()
    assert "end" not in node.names()
    node.outbox.gate.set()
    await say.turns()
    assert node.names()[-3:] == ["commit", "data", "end"]
    assert node.sent.endswith(say.usage() + say.DONE)


async def test_usage_that_the_client_did_not_ask_for_is_taken_out_again(node, say):
    _, request = await node.ask(say.chat(stream_options=None))
    assert request.json["stream_options"] == {"include_usage": True}
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.sent == say.word("Hi") + say.finish() + say.DONE
    assert node.record.usage == COUNTED
    assert node.trailer.usage == COUNTED


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_any_split_by_the_engines_connection_gives_the_same_bytes(node, say, size):
    whole = say.word("Hel") + say.word("lo") + say.finish() + say.usage() + say.DONE
    _, request = await node.ask()
    request.head()
    for start in range(0, len(whole), size):
        request.events(whole[start : start + size])
    request.end()
    await say.turns()
    assert node.sent == whole
    assert node.record.outcome == "complete"


async def test_an_engine_that_says_done_and_does_not_end_is_left(node, say):
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    await say.turns()
    assert node.record.outcome == "complete"
    assert request.exchange.is_aborted
    assert node.engine.suspicions == []


async def test_dropped_fields_are_named_in_a_header(node, say):
    _, request = await node.ask(say.chat(user="me"))
    request.head()
    request.events(say.word("Hi"))
    assert node.heads[0][1]["x-byoi-dropped"] == "user"


async def test_a_plain_answer_is_held_until_its_record_is_durable(node, say):
    node.outbox.gate.clear()
    body = {"choices": [{"message": {"content": "Hi" * 100_000}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2}}  # fmt: skip
    _, request = await node.ask(say.chat(stream=False, stream_options=None))
    assert request.headers["accept"] == "application/json"
    request.answer(body)
    await say.turns()
    assert node.log == []
    node.outbox.gate.set()
    await say.turns()
    assert node.names()[:2] == ["commit", "head"]
    assert node.sent == json.dumps(body).encode()
    assert max(len(entry[1]) for entry in node.log if entry[0] == "data") <= 64 * 1024
    assert node.names()[-1] == "end"
    assert node.heads == [(200, {"content-type": "application/json"})]
    assert (node.record.usage, node.record.finish_reason) == (COUNTED, "stop")
    assert node.record.sent_bytes == len(node.sent)


async def test_embeddings_have_prompt_tokens_only(node, say):
    _, request = await node.ask({"model": "small", "input": "hi"}, path="/v1/embeddings")
    request.answer({"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 4}})
    await say.turns()
    assert node.record.usage == Usage(prompt_tokens=4)
    assert node.record.outcome == "complete"


async def test_responses_end_with_their_own_event(node, say):
    def event(kind, **fields):
        return b"event: %s\n" % kind.encode() + say.event({"type": kind, **fields})

    delta = event("response.output_text.delta", delta="Hi")
    done = event("response.completed", response={"usage": {"input_tokens": 9, "output_tokens": 2}})
    _, request = await node.ask(
        {"model": "small", "input": "hi", "stream": True}, path="/v1/responses"
    )
    request.head()
    request.events(delta, done)
    await say.turns()
    assert node.sent == delta
    request.end()
    await say.turns()
    assert node.sent == delta + done
    assert (node.record.usage, node.record.outcome) == (COUNTED, "complete")


async def test_an_engine_without_usage_is_counted_by_its_tokenizer(node, say):
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hel"), say.word("lo"), say.finish(), say.DONE)
    request.end()
    await say.turns()
    assert (node.record.usage, node.record.counted_by) == (BY_TOKENIZER, "tokenizer")
    assert node.engine.counts[0][2] == "Hello"


@pytest.mark.parametrize("streams", [True, False])
async def test_usage_that_leaves_choices_out_is_put_right_for_client_and_record(node, say, streams):
    node.engine.counts_all_choices = False
    if streams:
        _, request = await node.ask(say.chat(n=2))
        request.head()
        request.events(say.word("a", 0), say.word("b", 1), say.finish(index=0))
        request.events(say.finish(index=1), say.usage(), say.DONE)
        request.end()
        await say.turns()
        last = json.loads(node.sent.split(b"data: ")[-2])
        assert node.sent.endswith(say.DONE)
    else:
        _, request = await node.ask(say.chat(n=2, stream=False, stream_options=None))
        choice = {"message": {"content": "a"}, "finish_reason": "stop"}
        counts = {"prompt_tokens": 9, "completion_tokens": 1}
        request.answer({"choices": [choice, choice], "usage": counts})
        await say.turns()
        last = json.loads(node.sent)
    assert last["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert (node.record.usage, node.record.counted_by) == (BY_TOKENIZER, "tokenizer")
    assert node.record.sent_bytes == len(node.sent)


async def test_usage_events_of_single_choices_reach_the_client_as_one_sum(node, say):
    node.engine.counts_all_choices, node.engine.counted = False, None
    _, request = await node.ask(say.chat(n=2))
    request.head()
    for index in (0, 1):
        request.events(say.word("a", index), say.finish(index=index), say.usage(9, 2))
    request.events(say.DONE)
    request.end()
    await say.turns()
    assert node.sent.count(b'"usage"') == 1
    assert node.sent.endswith(say.usage(9, 4) + say.DONE)
    assert node.record.usage == Usage(prompt_tokens=9, completion_tokens=4)


# The client leaves


async def test_cancel_in_the_middle_stops_the_engine_in_the_same_turn(node, say):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hel"), say.word("lo"))
    handler.reset_received(ResetCode.CANCELLED, "the client left")
    assert request.exchange.is_aborted
    await say.turns()
    assert node.names()[-3:] == ["abort", "count", "commit"]
    record = node.record
    assert (record.outcome, record.status, record.error_code) == ("cancelled", 200, None)
    assert (record.usage, record.counted_by) == (BY_TOKENIZER, "tokenizer")
    path, body, text = node.engine.counts[0]
    assert (path, body, text) == ("/v1/chat/completions", say.chat(), "Hello")


async def test_cancel_before_anything_was_generated_counts_the_prompt(node, say):
    node.engine.counted = Usage(prompt_tokens=11)
    handler, request = await node.ask()
    handler.reset_received(ResetCode.CANCELLED, "")
    assert request.exchange.is_aborted
    await say.turns()
    assert node.engine.counts[0][2] == ""
    assert node.record.usage == Usage(prompt_tokens=11)
    assert (node.record.status, node.record.first_token_ms) == (499, None)


async def test_cancel_before_the_body_is_whole_asks_nothing_of_the_engine(node, say):
    handler = node.open(say.chat(), send=False)
    handler.data_received(b"{")
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.engine.requests == []
    assert (node.record.usage, node.record.counted_by) == (Usage(), "none")
    assert node.record.outcome == "cancelled"


async def test_cancel_while_connecting_stops_as_soon_as_there_is_a_connection(node, say):
    node.engine.connect_gate.clear()
    handler = node.open(say.chat())
    await say.turns()
    handler.reset_received(ResetCode.CANCELLED, "")
    node.engine.connect_gate.set()
    await say.turns()
    assert node.engine.requests[0].exchange.is_aborted
    assert node.record.outcome == "cancelled"


async def test_cancel_after_the_end_changes_nothing(node, say):
    node.outbox.gate.clear()
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    handler.reset_received(ResetCode.CANCELLED, "")
    node.outbox.gate.set()
    await say.turns()
    assert (node.record.outcome, node.record.usage) == ("complete", COUNTED)


async def test_cancel_after_the_usage_event_takes_the_engines_count(node, say):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage())
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert (node.record.usage, node.record.counted_by) == (COUNTED, "engine")
    assert node.record.outcome == "cancelled"


@pytest.mark.parametrize("error", [EngineError("gone"), RuntimeError("a fault"), None])
async def test_without_a_tokenizer_events_are_counted(node, say, error):
    node.engine.count_error, node.engine.counted = error, None
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hel"), say.word("lo"), say.word("!"))
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.record.usage == Usage(completion_tokens=3)
    assert node.record.counted_by == "events"


async def test_a_tokenizer_that_hangs_holds_nothing_up(node, say, monkeypatch):
    monkeypatch.setattr(relay_module, "COUNT_SECONDS", 0.0)
    node.engine.count_gate.clear()
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns(20)
    assert node.record.counted_by == "events"


async def test_a_cancelled_request_frees_its_slot_before_its_tokens_are_counted(node, say):
    node.engine.count_gate.clear()
    handler, _ = await node.ask()
    assert node.dispatcher.load == (1, 0)
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.dispatcher.load == (0, 0)
    node.engine.count_gate.set()


# The engine fails


@pytest.mark.parametrize("point", range(6))
async def test_an_engine_that_dies_is_never_success(node, say, point):
    _, request = await node.ask()
    steps = [
        request.head,
        lambda: request.events(say.word("Hel")),
        lambda: request.events(say.word("lo")),
        lambda: request.events(say.finish()),
        lambda: request.events(say.usage()),
    ]
    for step in steps[:point]:
        step()
    request.die()
    await say.turns()
    record = node.record
    assert (record.outcome, record.error_code) == ("failed", "engine_error")
    assert node.resets == [("ENGINE_ERROR", "the engine failed")]
    assert node.names()[-1] == "reset"
    assert node.engine.suspicions == ["engine_error"]
    assert "secret" not in str(node.log[:-2])
    if point <= 1:
        assert node.heads == []
        assert (record.usage, record.counted_by, record.status) == (Usage(), "none", 502)
    elif point <= 4:
        assert (record.usage, record.status) == (BY_TOKENIZER, 200)
    else:
        assert record.usage == COUNTED


@pytest.mark.parametrize(
    "last",
    [
        lambda say: [say.event({"error": {"message": "stack trace", "code": 500}}), say.DONE],
        lambda say: [say.DONE],
        lambda say: [say.finish()],
        lambda say: [say.finish(), say.usage()],
        lambda say: [say.finish(), say.usage(), b"data: [DO"],
        lambda say: [b"data: {torn"],
        lambda say: [b"data: not json\n\n", say.finish(), say.DONE],
        lambda say: [b"x" * (2 * 1024 * 1024)],
    ],
)
async def test_a_stream_that_does_not_end_well_is_never_success(node, say, last):
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"), *last(say))
    request.end()
    await say.turns()
    assert node.record.outcome == "failed"
    assert node.resets == [("ENGINE_ERROR", "the engine failed")]
    assert b"stack trace" not in node.sent
    assert b"[DO" not in node.sent
    assert "end" not in node.names()


async def test_an_error_before_the_first_token_sends_nothing_at_all(node, say):
    _, request = await node.ask()
    request.head()
    request.events(say.event({"error": {"message": "broken"}}), say.DONE)
    request.end()
    await say.turns()
    assert node.names() == ["abort", "commit", "reset"]


@pytest.mark.parametrize("status", [500, 302, 204, 401])
async def test_what_is_the_engines_own_fault_may_be_tried_elsewhere(node, say, status):
    _, request = await node.ask()
    request.answer({"error": "traceback"}, status)
    await say.turns()
    assert node.resets[0][0] == "ENGINE_ERROR"
    assert node.heads == []
    assert (node.record.outcome, node.record.usage) == ("failed", Usage())


async def test_an_engine_that_is_busy_is_no_broken_one(node, say):
    _, request = await node.ask()
    request.answer({"error": "busy"}, 503)
    await say.turns()
    assert node.names() == ["reset"]
    assert node.resets == [("REFUSED", "the engine is busy")]


@pytest.mark.parametrize(("status", "text"), [(400, "secret"), (500, "secret: too large")])
async def test_a_request_that_the_engine_refuses_gets_openais_error(node, say, status, text):
    _, request = await node.ask()
    request.answer({"error": {"message": text}}, status)
    await say.turns()
    assert node.names() == ["commit", "head", "data", "end"]
    assert node.heads == [(400, {"content-type": "application/json"})]
    assert json.loads(node.sent)["error"]["code"] == "context_length_exceeded"
    record = node.record
    assert (record.outcome, record.status) == ("failed", 400)
    assert (record.error_code, record.usage) == ("context_length_exceeded", Usage())
    assert node.engine.suspicions == []
    assert node.engine.counts == []


async def test_an_engine_that_cannot_be_reached(node, say):
    node.engine.connect_error = EngineError("connection refused")
    node.open(say.chat())
    await say.turns()
    assert node.resets == [("ENGINE_ERROR", "the engine failed")]
    assert node.record.outcome == "failed"
    assert node.engine.suspicions == ["engine_error"]


@pytest.mark.parametrize(
    ("streams", "content_type"), [(True, "application/json"), (False, "text/event-stream")]
)
async def test_an_answer_in_the_wrong_form_is_a_failure(node, say, streams, content_type):
    options = {} if streams else {"stream": False, "stream_options": None}
    _, request = await node.ask(say.chat(**options))
    request.head(200, content_type)
    await say.turns()
    assert node.resets[0][0] == "ENGINE_ERROR"


async def test_a_plain_answer_beyond_the_limit_is_a_failure(node, say, monkeypatch):
    from byoi_agent.serving import answer

    monkeypatch.setattr(answer, "ANSWER_LIMIT_BYTES", 100)
    _, request = await node.ask(say.chat(stream=False, stream_options=None))
    request.head(200, "application/json")
    request.events(b"x" * 100)
    await say.turns()
    assert node.resets == []
    request.events(b"x")
    assert request.exchange.is_aborted


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"choices":[]}'])
async def test_a_plain_answer_that_is_none_is_a_failure(node, say, body):
    _, request = await node.ask(say.chat(stream=False, stream_options=None))
    request.head(200, "application/json")
    request.events(body)
    request.end()
    await say.turns()
    assert node.resets[0][0] == "ENGINE_ERROR"
    assert node.sent == b""


# The request is at fault


async def test_fields_are_checked_again_here(node, say):
    node.open(say.chat(chat_template="{{ evil }}"))
    await say.turns()
    assert node.engine.requests == []
    assert node.heads == [(400, {"content-type": "application/json"})]
    error = json.loads(node.sent)["error"]
    assert (error["param"], error["type"]) == ("chat_template", "invalid_request_error")
    assert (node.record.outcome, node.record.usage) == ("failed", Usage())


@pytest.mark.parametrize("extra", [-1, 1])
async def test_a_body_that_is_not_as_long_as_its_head_says(node, say, extra):
    raw = json.dumps(say.chat()).encode()
    node.open(raw, body_bytes=len(raw) + extra)
    await say.turns()
    assert node.engine.requests == []
    assert node.resets == [("INTERNAL", "the body is not what its head says")]
    assert node.record.error_code == "body_mismatch"


# The link


async def test_a_slow_client_pauses_the_engine_and_only_that(node, say):
    handler, request = await node.ask()
    request.head()
    node.session.has_room = False
    request.events(say.word("a"))
    assert request.exchange.is_paused
    request.events(say.word("b"))  # what was read already
    node.session.has_room = True
    handler.send_allowed()
    assert not request.exchange.is_paused
    request.events(say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.record.outcome == "complete"


async def test_a_lost_link_stops_nothing_and_a_resumed_one_goes_on(node, say):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("a"))
    handler.link_lost()
    request.events(say.word("b"))
    assert not request.exchange.is_aborted
    handler.link_resumed()
    handler.send_allowed()
    request.events(say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.sent == b"".join(
        [say.word("a"), say.word("b"), say.finish(), say.usage(), say.DONE]
    )
    assert node.record.outcome == "complete"


async def test_a_link_that_is_lost_for_good_is_a_failure_with_the_tokens_sent(node, say):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("a"))
    handler.link_lost()
    handler.reset_received(ResetCode.LOST, "the link did not come back")
    assert request.exchange.is_aborted
    await say.turns()
    assert (node.record.outcome, node.record.error_code) == ("failed", "link_lost")
    assert node.record.usage == BY_TOKENIZER


# Time


async def test_an_engine_that_never_begins_is_suspected(node, say, clock):
    _, request = await node.ask()
    await clock.advance(119)
    assert node.resets == []
    await clock.advance(1)
    assert node.resets == [("TIMED_OUT", "the engine was silent for too long")]
    assert node.engine.suspicions == ["engine_silent"]
    assert request.exchange.is_aborted
    assert (node.record.outcome, node.record.error_code) == ("failed", "engine_silent")


async def test_an_engine_that_falls_silent_is_suspected(node, say, clock):
    _, request = await node.ask()
    request.head()
    await clock.advance(100)  # the head alone is no token
    request.events(say.word("a"))
    await clock.advance(59)
    request.events(say.word("b"))
    await clock.advance(59)
    assert node.resets == []
    await clock.advance(1)
    assert node.resets == [("TIMED_OUT", "the engine was silent for too long")]
    assert node.record.usage == BY_TOKENIZER


async def test_silence_that_we_ask_for_is_not_the_engines(node, say, clock):
    handler, request = await node.ask()
    request.head()
    node.session.has_room = False
    request.events(say.word("a"))
    await clock.advance(300)
    assert node.resets == []
    handler.send_allowed()
    await clock.advance(59)
    assert node.resets == []
    await clock.advance(1)
    assert node.resets[0][0] == "TIMED_OUT"


async def test_a_plain_answer_may_be_silent_until_its_deadline(node, say, clock):
    _, request = await node.ask(say.chat(stream=False, stream_options=None), deadline_seconds=400.0)
    await clock.advance(399)
    assert node.resets == []
    await clock.advance(1)
    assert node.resets == [("TIMED_OUT", "the deadline has passed")]
    assert request.exchange.is_aborted
    assert node.engine.suspicions == ["deadline"]


async def test_the_deadline_holds_for_a_stream_that_flows(node, say, clock):
    _, request = await node.ask(deadline_seconds=10.0)
    request.head()
    for _ in range(9):
        request.events(say.word("a"))
        await clock.advance(1)
    assert node.resets == []
    await clock.advance(1)
    assert node.resets == [("TIMED_OUT", "the deadline has passed")]
    assert node.record.error_code == "deadline"


async def test_a_body_that_does_not_come_frees_the_slot(node, say, clock):
    node.open(say.chat(), send=False)
    await clock.advance(relay_module.BODY_SECONDS)
    assert node.resets == [("TIMED_OUT", "the request's body did not come")]
    assert node.dispatcher.load == (0, 0)
    assert node.engine.suspicions == []


# Our own faults


async def test_a_full_outbox_never_ends_a_stream_as_if_it_were_booked(node, say):
    node.outbox.error = OutboxFull("too much")
    _, request = await node.ask()
    request.head()
    request.events(say.word("a"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.resets[0][0] == "INTERNAL"
    assert say.DONE not in node.sent


async def test_a_fault_while_passing_on_ends_that_request_only(node, say, caplog):
    _, first = await node.ask()
    _, second = await node.ask()
    node.session.send, genuine = lambda *_: 1 / 0, node.session.send
    first.head()
    first.events(say.word("a"))
    node.session.send = genuine
    second.head()
    second.events(say.word("b"), say.finish(), say.usage(), say.DONE)
    second.end()
    await say.turns()
    assert [record.outcome for record in node.records] == ["failed", "complete"]
    assert node.records[0].error_code == "internal"
    assert node.resets == [("INTERNAL", "the node failed at this request")]
    assert caplog.text.count("Traceback") == 1


async def test_a_fault_before_the_engine_is_asked_ends_that_request_only(node, say, caplog):
    node.engine.send = lambda *_: 1 / 0
    node.open(say.chat())
    await say.turns()
    assert (node.record.error_code, node.resets[0][0]) == ("internal", "INTERNAL")
    assert caplog.text.count("Traceback") == 1


async def test_a_fault_in_recording_ends_that_request_only(node, say, caplog):
    node.outbox.error = RuntimeError("signing failed")
    _, request = await node.ask()
    request.head()
    request.events(say.word("a"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()
    assert node.resets == [("INTERNAL", "the node failed at this request")]
    assert node.dispatcher.load == (0, 0)
    assert caplog.text.count("Traceback") == 1


async def test_a_fault_in_recording_what_never_reached_the_engine(node, say):
    node.outbox.error = RuntimeError("signing failed")
    node.open(say.chat(chat_template="x"))
    await say.turns()
    assert node.resets == [("INTERNAL", "the node failed at this request")]


async def test_what_comes_after_the_end_goes_nowhere(node, say):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("a"))
    handler.reset_received(ResetCode.CANCELLED, "")
    request.handler.body_received(say.word("b"))
    request.handler.failed(EngineError("late"))
    handler.send_allowed()
    handler.reset_received(ResetCode.LOST, "")
    await say.turns()
    assert node.sent == say.word("a")
    assert node.record.outcome == "cancelled"


async def test_a_prompt_is_never_logged(node, say, caplog):
    caplog.set_level(0)
    for status in (200, 400, 500):
        handler, request = await node.ask()
        if status == 200:
            request.head()
            request.events(say.word("a secret answer"))
            handler.reset_received(ResetCode.CANCELLED, "")
        else:
            request.answer({"error": {"message": "a secret question"}}, status)
        await say.turns()
    assert "secret" not in caplog.text
    assert not [r for r in caplog.records if "secret" in str(r.__dict__.values())]


async def test_the_record_survives_a_second_cancel_while_tokens_are_counted(node, say):
    node.engine.count_gate.clear()
    handler, request = await node.ask()
    request.head()
    request.events(say.word("a"))
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    (task,) = [t for t in asyncio.all_tasks() if t.get_name().startswith("request req-")]
    task.cancel()
    await say.turns()
    assert (node.record.outcome, node.record.counted_by) == ("cancelled", "events")

from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.engine import client as engine_client
from byoi_agent.engine.address import EngineAddress
from byoi_agent.node.view import Load
from byoi_agent.serving import relay as relay_module
from byoi_agent.serving.dispatcher import Dispatcher
from byoi_wire.aio.session import Session
from byoi_wire.messages import OpenHead, ResetCode
from byoi_wire.requests import BODY_LIMIT_BYTES
from byoi_wire.usage import Usage


async def answer(request, say):
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "/tokenize"}, "no_such_route"),
        ({"path": "/v1/chat/completions/render"}, "no_such_route"),
        ({"websocket": True}, "no_such_route"),
        ({"model": "other"}, "no_such_model"),
        ({"body_bytes": BODY_LIMIT_BYTES + 1}, "body_too_large"),
        ({"deadline_seconds": 0.0}, "deadline_passed"),
    ],
)
async def test_what_cannot_be_served_here_is_refused_without_a_record(node, say, changes, reason):
    handler = node.open(say.chat(), **changes)
    handler.data_received(b"late")
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.log == [("reset", "REFUSED", reason)]
    assert node.dispatcher.load == (0, 0)


async def test_an_engine_that_is_not_ready_refuses(node, say):
    node.set_engine(state="starting")
    node.open(say.chat())
    assert node.log == [("reset", "REFUSED", "engine_not_ready")]


async def test_a_disk_without_room_refuses(node, say):
    node.outbox.refusal = "usage_storage_full"
    node.open(say.chat())
    assert node.log == [("reset", "REFUSED", "usage_storage_full")]


async def test_the_same_attempt_twice_at_once_is_refused(node, say):
    node.open(say.chat(), request_id="same")
    node.open(say.chat(), request_id="same")
    await say.turns()
    assert node.resets == [("REFUSED", "already_running")]
    assert len(node.engine.requests) == 1
    node.open(say.chat(), request_id="same", attempt=2)
    await say.turns()
    assert len(node.engine.requests) == 2


async def test_a_dispatcher_that_does_not_run_refuses(node):
    idle = Dispatcher(node.dispatcher._around, node.board)
    head = OpenHead(request_id="r", attempt=1, ticket="t", tenant="t", model="small",
                    path="/v1/chat/completions", deadline_seconds=9, body_bytes=1)  # fmt: skip
    idle.accept(node.session, 1, head)
    assert node.log == [("reset", "REFUSED", "draining")]


async def test_slots_then_queue_then_refusal_and_the_board_knows(node, say):
    for _ in range(4):
        node.open(say.chat())
    await say.turns()
    assert len(node.engine.requests) == 2
    assert node.dispatcher.load == (2, 1)
    assert node.board.view.load == Load(2, 1)
    assert node.resets == [("REFUSED", "over_capacity")]
    await answer(node.engine.requests[0], say)
    assert len(node.engine.requests) == 3
    for request in node.engine.requests[1:]:
        await answer(request, say)
    assert node.board.view.load == Load(0, 0)
    assert [record.outcome for record in node.records] == ["complete"] * 3


async def test_waiting_is_told_in_the_head(node, say, clock):
    for _ in range(3):
        node.open(say.chat())
    await clock.advance(5)
    await answer(node.engine.requests[0], say)
    heads = []
    node.session.send_head = lambda stream, head: heads.append(head)
    await answer(node.engine.requests[2], say)
    assert heads[0].queued_ms == 5000


async def test_one_who_leaves_the_queue_makes_room(node, say):
    for _ in range(2):
        node.open(say.chat())
    waiting = node.open(say.chat())
    waiting.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.dispatcher.load == (2, 0)
    assert node.record.outcome == "cancelled"
    node.open(say.chat())
    assert not node.resets


async def test_one_whose_deadline_passes_in_the_queue_never_runs(node, say, clock):
    for _ in range(2):
        node.open(say.chat())
    node.open(say.chat(), deadline_seconds=5.0)
    await clock.advance(5)
    assert node.resets == [("TIMED_OUT", "the deadline has passed")]
    assert (node.record.error_code, node.record.counted_by) == ("deadline", "none")
    assert node.engine.suspicions == []
    assert node.dispatcher.load == (2, 0)
    assert len(node.engine.requests) == 2


async def test_those_who_wait_for_an_engine_that_is_gone_go_back(node, say):
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    node.set_engine(state="backing_off")
    for request in node.engine.requests[:2]:
        request.die()
    await say.turns()
    assert ("REFUSED", "engine_not_ready") in node.resets
    assert len(node.records) == 2
    assert node.dispatcher.load == (0, 0)


@pytest.mark.parametrize("state", ["draining", "asleep", "suspect"])
async def test_who_waits_or_comes_while_the_engine_gives_way_may_try_elsewhere_at_once(
    node, say, state
):
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    node.set_engine(state=state)
    await say.turns()
    assert node.resets == [("REFUSED", "engine_not_ready")]
    node.open(say.chat())
    assert node.resets == [("REFUSED", "engine_not_ready")] * 2
    assert node.dispatcher.load == (2, 0)
    assert len(node.engine.requests) == 2
    assert not any(request.exchange.is_aborted for request in node.engine.requests)
    node.set_engine(state="ready")
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    assert node.dispatcher.load == (2, 1)


async def test_a_model_that_went_while_its_request_came_is_refused(node, say):
    handler = node.open(say.chat(), send=False)
    node.set_engine(models=())
    raw = json.dumps(say.chat()).encode()
    handler.data_received(raw)
    handler.end_received(b"")
    await say.turns()
    assert node.log == [("reset", "REFUSED", "no_such_model")]


async def test_drain_refuses_the_new_and_lets_all_that_is_here_finish(node, say):
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(node.dispatcher.drain(30))
        await say.turns()
        node.open(say.chat())
        assert node.resets == [("REFUSED", "draining")]
        for request in node.engine.requests[:2]:
            await answer(request, say)
        assert not draining.done()
        await answer(node.engine.requests[2], say)
        await asyncio.wait_for(draining, 60)
    assert [record.outcome for record in node.records] == ["complete"] * 3


async def test_drain_without_requests_ends_at_once(node, say):
    await asyncio.wait_for(node.dispatcher.drain(3600), 60)
    node.open(say.chat())
    assert node.resets == [("REFUSED", "draining")]


@pytest.mark.parametrize("grace_seconds", [0, 10])
async def test_at_the_end_of_a_drain_the_rest_is_cut_with_records(node, say, clock, grace_seconds):
    for _ in range(3):
        node.open(say.chat())
    await say.turns()
    node.engine.requests[0].head()
    node.engine.requests[0].events(say.word("Hi"))
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(node.dispatcher.drain(grace_seconds))
        await say.turns()
        await clock.advance(grace_seconds)
        await asyncio.wait_for(draining, 60)
    assert sorted(node.resets) == [
        ("INTERNAL", "the node was stopped"),
        ("INTERNAL", "the node was stopped"),
        ("REFUSED", "draining"),
    ]
    assert {record.error_code for record in node.records} == {"node_stopped"}
    assert len(node.records) == 2
    assert all(request.exchange.is_aborted for request in node.engine.requests)


async def test_a_node_that_is_stopped_does_not_wait_for_a_tokenizer(node, say, monkeypatch):
    monkeypatch.setattr(relay_module, "HASTY_COUNT_SECONDS", 0.0)
    node.engine.count_gate.clear()
    _, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    await asyncio.wait_for(node.dispatcher.drain(0), 60)
    assert (node.record.counted_by, node.record.error_code) == ("events", "node_stopped")


async def test_cancelled_it_leaves_nothing_behind(idle_node, say):
    node = idle_node
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(node.dispatcher.run())
        await say.turns()
        for _ in range(3):
            node.open(say.chat())
        await say.turns()
        node.engine.requests[0].head()
        node.engine.requests[0].events(say.word("Hi"))
        node.engine.count_gate.clear()  # no time for a tokenizer now
        running.cancel()
    assert sorted(record.counted_by for record in node.records) == ["events", "none"]
    assert {record.error_code for record in node.records} == {"node_stopped"}
    assert node.resets.count(("REFUSED", "draining")) == 1
    assert all(request.exchange.is_aborted for request in node.engine.requests)
    assert node.dispatcher.load == (0, 0)
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("request ")]


async def test_many_cancelled_requests_leave_no_tasks_and_no_slots(node, say):
    before = len(asyncio.all_tasks())
    for _ in range(300):
        handler = node.open(say.chat())
        await say.turns(3)
        handler.reset_received(ResetCode.CANCELLED, "")
        await say.turns()
    assert len(asyncio.all_tasks()) == before
    assert node.dispatcher.load == (0, 0)
    assert node.dispatcher._relays == {}
    assert len(node.records) == 300


async def test_over_a_real_session_and_a_real_engine_connection(clock, node, say, tmp_path):
    """The parts as they are, with a server that writes one event at a time."""
    whole = [say.word("Hel"), say.word("lo"), say.finish(), say.usage(), say.DONE]
    seen = []

    async def serve(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(int(seen[0].split(b"content-length: ")[1].split(b"\r")[0]))
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for event in whole:
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "engine.sock")
    client = engine_client.EngineClient(EngineAddress.parse(f"unix://{tmp_path}/engine.sock"))
    node.engine.send = client.send
    console, provider = link(node.dispatcher)
    raw = json.dumps(say.chat()).encode()
    taker = Taker()
    head = OpenHead(request_id="r", attempt=1, ticket="t", tenant="t", model="small",
                    path="/v1/chat/completions", deadline_seconds=99,
                    body_bytes=len(raw))  # fmt: skip
    stream = console.open(head, taker)
    console.send(stream, raw)
    console.end(stream)
    while not taker.is_over:
        await asyncio.sleep(0)
        provider.frames_received(console.take(65536))
        console.frames_received(provider.take(65536))
    assert taker.body == b"".join(whole)
    assert json.loads(taker.trailer)["usage"]["completion_tokens"] == 2
    assert node.record.outcome == "complete"
    assert seen[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    await client.close()
    server.close()
    await server.wait_closed()


def link(dispatcher):
    provider = Session(accept=lambda stream, head: dispatcher.accept(provider, stream, head))
    console = Session()
    return console, provider


class Taker:
    """The console's side of a stream."""

    def __init__(self) -> None:
        self.body, self.trailer, self.is_over = b"", b"", False

    def head_received(self, head):
        self.head = head

    def data_received(self, data):
        self.body += data

    def end_received(self, trailer):
        self.trailer, self.is_over = trailer, True

    def reset_received(self, code, reason):
        raise AssertionError(f"{code} {reason}")

    def send_allowed(self): ...
    def link_lost(self): ...
    def link_resumed(self): ...


async def test_a_request_opened_again_while_its_record_is_written_is_refused(node, say):
    node.outbox.gate.clear()
    handler, _ = await node.ask(request_id="same")
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()  # its slot is free, its record is not durable yet
    node.open(say.chat(), request_id="same")
    await say.turns()
    node.outbox.gate.set()
    await say.turns(30)
    assert node.dispatcher.load == (0, 0)
    await node.ask(request_id="later")  # the node lives


async def test_a_body_that_goes_on_after_the_end_is_neither_kept_nor_given_credit(node, say):
    node.outbox.gate.clear()
    handler = node.open(b"x", body_bytes=1, send=False)
    for _ in range(100):
        handler.data_received(b"y" * 16_384)
    await say.turns()
    (relay,) = node.dispatcher._relays.values()
    assert len(relay._body) <= 2 * 16_384
    assert node.session.consumed_bytes <= 2 * 16_384
    node.outbox.gate.set()
    await say.turns()


async def test_idle_waits_for_records_too(node, say):
    node.outbox.gate.clear()
    handler, _ = await node.ask()
    handler.reset_received(ResetCode.CANCELLED, "")
    waiting = asyncio.ensure_future(node.dispatcher.idle())
    await say.turns()
    assert node.dispatcher.load == (0, 0)
    assert not waiting.done()
    node.outbox.gate.set()
    async with asyncio.timeout(60):
        await waiting


async def test_a_refused_request_is_counted_by_its_reason(node, say):
    for _ in range(3):
        node.open(say.chat(model="none"), model="none")
    assert node.dispatcher.refused == {"no_such_model": 3}


# The machine is its owner's again

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
    await asyncio.wait_for(node.dispatcher.idle(), 60)
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


async def test_a_node_that_its_owner_has_taken_back_refuses_and_serves_again_with_him(node, say):
    node.board.update(availability=AvailabilityView(state="yield", code="paused"))
    node.open(say.chat())
    await say.turns()
    assert node.resets == [("REFUSED", "not_serving")]
    assert not node.engine.requests
    assert not node.records
    node.board.update(availability=AvailabilityView())
    node.open(say.chat())
    await say.turns()
    assert len(node.engine.requests) == 1


async def test_a_dedicated_node_refuses_every_other_organisation_and_who_does_not_say(node, say):
    node.dispatcher.dedicate("org_1")
    for asks in ("org_2", None):
        node.open(say.chat(), org_id=asks)
    await say.turns()
    assert node.resets == [("REFUSED", "dedicated")] * 2
    await node.ask(org_id="org_1")
    node.dispatcher.dedicate(None)
    await node.ask(org_id="org_2")
    assert len(node.resets) == 2

from __future__ import annotations

import asyncio

import pytest

from byoi_console.errors import LedgerUnavailable
from byoi_console.gateway.posting import Bookkeeper
from byoi_wire.messages import ResetCode


async def test_a_ledger_that_refuses_is_asked_again_until_it_takes_the_posting(world):
    node = world.node()
    failures = [LedgerUnavailable("full"), LedgerUnavailable("full")]
    waits = []
    post = world.books.post

    async def reluctant(posting):
        if failures:
            raise failures.pop()
        await post(posting)

    async def sleep(seconds):
        waits.append(seconds)

    world.books.post = reluctant
    world.gateway._bookkeeper._sleep = sleep
    node.session.auto = lambda stream: stream.stream_all("a")
    await world.ask(world.chat())
    assert len(await world.books.wait_for(1)) == 1
    assert len(waits) == 2


async def test_a_client_never_waits_for_the_ledger(world):
    node = world.node()
    may_post = asyncio.Event()

    async def slow(posting):
        await may_post.wait()

    world.books.post = slow
    node.session.auto = lambda stream: stream.stream_all("a")
    for _ in range(3):
        assert (await world.ask(world.chat()))[0] == 200
    assert world.gateway._bookkeeper.pending == 3
    may_post.set()


async def test_nothing_is_taken_before_the_bookkeeper_runs():
    class Books:
        is_healthy = True

    assert not Bookkeeper(Books()).is_open


async def test_whoever_counts_answers_is_told_once_though_the_ledger_is_asked_again(world):
    node = world.node()
    told = []
    failures = [LedgerUnavailable("full"), LedgerUnavailable("full")]
    post = world.books.post

    async def reluctant(posting):
        if failures:
            raise failures.pop()
        await post(posting)

    async def sleep(seconds):
        pass

    world.books.post = reluctant
    world.gateway._bookkeeper._sleep = sleep
    world.gateway._bookkeeper._ended = told.append
    node.session.auto = lambda stream: stream.stream_all("a", "b")
    await world.ask(world.chat())
    (posting,) = await world.books.wait_for(1)
    assert told == [posting]


async def test_what_never_started_at_a_node_is_not_booked(world):
    node = world.node()
    node.session.auto = lambda stream: stream.reset(ResetCode.REFUSED)
    assert (await world.ask(world.chat()))[0] == 503
    assert world.gateway._bookkeeper.pending == 0
    assert not world.books.postings


@pytest.mark.parametrize("streams", [True, False])
async def test_a_lost_attempt_and_its_successor_are_both_booked(world, streams):
    nodes = [world.node("node_1"), world.node("node_2")]
    for node in nodes:

        def play(stream):
            if stream.head.attempt == 1:
                stream.reset(ResetCode.LOST)
            elif streams:
                stream.stream_all("a")
            else:
                stream.answer_json({"usage": {"completion_tokens": 4}})

        node.session.auto = play
    await world.ask(world.chat(stream=streams))
    lost, done = sorted(await world.books.wait_for(2), key=lambda p: p.attempt)
    assert (lost.outcome, lost.error_code, lost.status) == ("failed", "upstream_lost", 502)
    assert (lost.delivered_events, lost.delivered_bytes) == (0, 0)
    assert (done.outcome, done.status, done.counted_by) == ("complete", 200, "engine")
    assert lost.request_id == done.request_id
    sent = [stream for node in nodes for stream in node.session.opened]
    assert done.request_bytes == len(sent[0].body)


async def test_a_client_that_leaves_before_the_head_is_booked_as_499(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    await node.session.next_stream()
    client.abort()
    (posting,) = await world.books.wait_for(1)
    assert (posting.outcome, posting.status, posting.first_token_ms) == ("cancelled", 499, None)

from __future__ import annotations

import asyncio

from byoi_agent.control.feed import MOST_WAITING, Event, Feed
from byoi_agent.control.schema import ReloadReport


def an_event(name="log", key=None, **told):
    return Event(name, ReloadReport(**told), key)


async def test_a_reader_gets_what_it_wants_in_order():
    feed = Feed({"log"})
    for each in (an_event(now=("a",)), an_event("pull"), an_event(now=("b",))):
        feed.put(each)
    assert [event.data.now for event in await feed.take(1)] == [("a",), ("b",)]
    assert await feed.take(0.001) == []


async def test_of_what_replaces_itself_a_slow_reader_gets_the_newest():
    feed = Feed({"status"})
    for name in "abc":
        feed.put(an_event("status", "status", now=(name,)))
    assert [event.data.now for event in await feed.take(1)] == [("c",)]


async def test_a_reader_that_sleeps_loses_the_oldest_and_takes_no_memory():
    feed = Feed({"log"})
    for number in range(MOST_WAITING + 3):
        feed.put(an_event(now=(str(number),)))
    taken = await feed.take(1)
    assert (len(taken), feed.missed) == (MOST_WAITING, 3)
    assert taken[0].data.now == ("3",)


async def test_a_waiting_reader_is_woken_by_the_end():
    feed = Feed({"log"})
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(feed.take(60))
        await asyncio.sleep(0)
        feed.close()
    assert waiting.result() == []
    assert feed.is_closed

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.node.announcer import NEWS_AT_ONCE, Announcer
from byoi_agent.node.board import Board
from byoi_agent.node.view import Load
from byoi_wire.messages import Advertise, Availability, Status


class Link:
    def __init__(self):
        self.is_up = True
        self.sent = []

    def send(self, message):
        if self.is_up:
            self.sent.append(message)
        return self.is_up

    def of(self, kind):
        return [message for message in self.sent if isinstance(message, kind)]


class Clock:
    """Stands still until somebody waits, then is there at once."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now

    async def sleep_until(self, at):
        self.now = at
        await asyncio.sleep(0)


@pytest.fixture
def link():
    return Link()


@pytest.fixture
def board(ready_view):
    return Board(ready_view)


@pytest.fixture
def announcer(board, link):
    return Announcer(board, link.send, Clock())


def test_a_new_link_hears_the_whole_offer_and_the_load(announcer, link):
    announcer.link_online()
    assert [type(message) for message in link.sent] == [Availability, Advertise, Status]
    announcer.link_online()
    assert len(link.of(Advertise)) == 2


def test_news_is_told_at_once_and_only_news(announcer, board, link):
    announcer.link_online()
    board.update(load=Load(1))
    assert len(link.of(Advertise)) == 1
    board.update(devices=())
    assert [offer.version for offer in link.of(Advertise)] == [0, 1]


def test_what_happened_without_a_link_is_told_when_it_is_back(announcer, board, link):
    announcer.link_online()
    link.is_up = False
    board.update(devices=())
    link.is_up = True
    announcer.link_online()
    assert link.of(Advertise)[-1].devices == ()


async def test_a_changed_load_is_told_soon(announcer, board, link):
    announcer.link_online()
    running = asyncio.ensure_future(announcer.run())
    for _ in range(5):
        await asyncio.sleep(0)
    link.sent.clear()
    board.update(load=Load(3, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (link.sent[-1].running, link.sent[-1].waiting) == (3, 1)
    assert len(link.sent) == 1


async def test_a_status_comes_now_and_then_while_nothing_changes(board, link, monkeypatch):
    monkeypatch.setattr("byoi_agent.node.announcer.STATUS_SECONDS", 0.5)
    announcer = Announcer(board, link.send, Clock())
    running = asyncio.ensure_future(announcer.run())
    for _ in range(50):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(link.of(Status)) > 2


def test_a_load_that_is_the_same_is_no_change(announcer, board, ready_view):
    board.update(host=replace(ready_view).host.model_copy(update={"cpu_cores": 9}))
    assert not announcer._changed.is_set()


AWAY = AvailabilityView("idle", state="yield", code="active", reason="jo is at the keyboard")


def test_whether_it_serves_is_told_before_what_it_offers(announcer, board, link):
    board.update(availability=AWAY)
    link.sent.clear()
    announcer.link_online()
    assert [type(message) for message in link.sent] == [Availability, Advertise, Status]
    assert not link.sent[0].serving


def test_that_it_stops_serving_is_told_at_once_and_once(announcer, board, link):
    announcer.link_online()
    link.sent.clear()
    board.update(availability=AWAY)
    board.update(availability=replace(AWAY, reason="jo is still there", until=5.0))
    board.update(availability=AvailabilityView())
    assert [message.serving for message in link.sent] == [False, True]


def test_what_could_not_be_told_without_a_link_is_told_with_the_next(announcer, board, link):
    announcer.link_online()
    link.is_up = False
    board.update(availability=AWAY)
    link.is_up = True
    link.sent.clear()
    announcer.link_online()
    assert not link.of(Availability)[0].serving


async def test_a_node_that_goes_and_comes_in_a_loop_ends_with_its_last_word_and_no_flood(
    announcer, board, link
):
    announcer.link_online()
    for _ in range(500):
        board.update(availability=AWAY)
        board.update(availability=AvailabilityView())
    board.update(availability=AWAY)
    assert len(link.of(Availability)) == NEWS_AT_ONCE
    running = asyncio.ensure_future(announcer.run())
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not link.of(Availability)[-1].serving
    assert len(link.of(Availability)) <= NEWS_AT_ONCE + 1

from __future__ import annotations

import asyncio

import pytest

from byoi_agent.link.view import LinkView
from byoi_agent.node.board import Board
from byoi_agent.node.view import Load


def test_subscribers_hear_of_each_change_and_of_nothing_else(ready_view):
    board = Board(ready_view)
    seen = []
    unsubscribe = board.subscribe(seen.append)
    board.update(load=Load(1))
    board.update(load=Load(1))
    unsubscribe()
    board.update(load=Load(2))
    assert [view.load.running for view in seen] == [1]
    assert board.view.load.running == 2


def test_where_one_subscriber_brings_news_the_others_hear_the_newest_last(ready_view):
    board = Board(ready_view)
    seen = []
    board.subscribe(lambda view: board.update(load=Load(2)))
    board.subscribe(seen.append)
    board.update(load=Load(1))
    assert seen[-1] is board.view
    assert board.view.load.running == 2


def test_the_offers_version_grows_only_with_news(ready_view):
    board = Board(ready_view)
    first = board.offer
    board.update(load=Load(1))
    assert board.offer is first
    assert board.view.offer_version == 0
    board.update(devices=())
    assert board.offer.version == board.view.offer_version == 1


def test_news_that_is_taken_back_is_news_again(ready_view):
    board = Board(ready_view)
    board.update(devices=())
    board.update(devices=ready_view.devices)
    assert board.offer.version == 2
    assert board.offer.devices


async def test_a_wait_ends_at_once_when_the_view_fits_already(ready_view):
    assert await Board(ready_view).wait_until(lambda view: view.is_serving) == ready_view


async def test_a_wait_ends_with_the_first_view_that_fits(ready_view):
    board = Board(ready_view)
    board.update(link=LinkView("waiting"))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(board.wait_until(lambda view: view.is_serving))
        await asyncio.sleep(0)
        board.update(load=Load(1))
        board.update(link=LinkView("online"))
        board.update(link=LinkView("stopped"))
    assert waiting.result().load.running == 1


async def test_a_wait_that_is_cancelled_leaves_no_subscriber(ready_view):
    board = Board(ready_view)
    waiting = asyncio.ensure_future(board.wait_until(lambda _: False))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not board._subscribers


def test_a_model_that_begins_to_make_a_loss_is_news_to_the_console(ready_view):
    board = Board(ready_view)
    (model,) = ready_view.engine.models
    board.update(at_a_loss=frozenset({model.id}))
    assert (board.view.offer_version, board.offer.models) == (1, ())
    board.update(at_a_loss=frozenset())
    assert [one.id for one in board.offer.models] == [model.id]

from __future__ import annotations

import asyncio

import pytest

from byoi_agent.lifecycle.lending import Lending
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_wire.ids import NodeId


class Engines:
    def __init__(self) -> None:
        self.views = ("an engine",)
        self.orders = []

    def release(self, within_seconds, by=None, *, last=()):
        self.orders.append(("release", within_seconds, by, last))

    def come_back(self):
        self.orders.append("come back")


class Node:
    def __init__(self) -> None:
        self.board = Board(NodeView(node_id=NodeId("node"), agent_version="1"))
        self.engines = Engines()
        self.lending = Lending(self.engines, self.board)

    async def owner(self, held):
        self.board.update(held={"engine": held} if held else {})
        await asyncio.sleep(0)


@pytest.fixture
def node():
    return Node()


async def test_memory_that_nobody_uses_is_given_back_as_asked(node):
    node.lending.release(0.25, 7.0, last=("engine",))
    assert node.engines.orders == [("release", 0.25, 7.0, ("engine",))]
    assert node.lending.views == node.engines.views
    node.lending.come_back()
    assert node.engines.orders[-1] == "come back"


async def test_the_owner_has_the_engines_back_and_they_go_once_he_is_quiet(node):
    node.lending.release(0.25, 7.0)
    await node.owner(1)
    assert node.engines.orders[1:] == ["come back"]
    assert node.lending.views == (), "nothing to be seen given back"
    await node.owner(2)
    await node.owner(0)
    assert node.engines.orders[2:] == [("release", 0.0, None, ())]


async def test_what_the_owner_uses_is_not_taken_until_he_is_quiet(node):
    await node.owner(1)
    node.lending.release(0.25, 7.0)
    assert node.engines.orders == []
    await node.owner(0)
    assert node.engines.orders == [("release", 0.0, None, ())]


async def test_a_node_that_serves_has_nothing_lent(node):
    await node.owner(1)
    await node.owner(0)
    assert node.engines.orders == []
    node.lending.release(0.25)
    node.board.update(held={"engine": 1})
    node.lending.come_back()  # before the turn in which they would have come for the owner
    await asyncio.sleep(0)
    assert node.engines.orders == [("release", 0.25, None, ()), "come back"]

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.config.settings import Settings
from byoi_agent.daemon.local_api import LocalApi
from byoi_agent.engine.view import EngineView
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.serving.dispatcher import Dispatcher
from byoi_agent.serving.neighbours import Surroundings, Unmeasured
from byoi_agent.telemetry.health import Health
from byoi_wire.ids import NodeId


class NoEngines:
    views = ()
    view = EngineView("stopped", "none")

    def engine_for(self, model):
        return None


@pytest.fixture
def board():
    return Board(NodeView(node_id=NodeId("node"), agent_version="1"))


@pytest.fixture
def make(board):
    around = Surroundings(NodeId("node"), NoEngines(), None, SystemClock(), b"secret")
    opened = []

    def make(**chosen):
        api = LocalApi(
            Settings(**{"local_port": 0, **chosen}),
            dispatcher=Dispatcher(around, board),
            board=board,
            health=Health(lambda warnings: board.update(warnings=warnings)),
            around=around,
            energy=Unmeasured(),
        )
        opened.append(api)
        return api

    yield make
    for api in opened:
        asyncio.run(closed(api))


async def closed(api):
    """Listeners that nobody served are closed as well."""
    running = asyncio.ensure_future(api.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})


def warnings(board):
    return [warning.name for warning in board.view.warnings]


def a_key(tmp_path, text="secret"):
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_it_is_open_if_nobody_said_otherwise_and_the_board_tells_where(make, board):
    api = make()
    assert api.url is None
    api.listen()
    assert api.url.startswith("http://127.0.0.1:")
    assert api.url.endswith("/v1")
    assert not board.view.own.needs_key
    assert warnings(board) == []


def test_whoever_wants_none_has_none(make):
    api = make(local_api="off")
    api.listen()
    assert api.url is None


def test_a_port_that_is_taken_is_a_warning_and_no_end(make, board):
    with socket.create_server(("127.0.0.1", 0)) as other:
        api = make(local_port=other.getsockname()[1])
        api.listen()
    assert api.url is None
    assert warnings(board) == ["local-api-closed"]


def test_without_the_key_that_was_asked_for_it_stays_closed(make, board, tmp_path):
    api = make(local_key_file=tmp_path / "none")
    api.listen()
    assert api.url is None
    assert warnings(board) == ["local-api-closed"]


def test_another_key_holds_from_a_reload_on_and_a_bad_one_changes_nothing(make, board, tmp_path):
    api = make()
    api.listen()
    api.take(Settings(local_key_file=a_key(tmp_path)))
    assert board.view.own.needs_key
    api.take(Settings(local_key_file=tmp_path / "none"))
    assert board.view.own.needs_key
    assert warnings(board) == ["local-api-closed"]
    api.take(Settings())
    assert not board.view.own.needs_key
    assert warnings(board) == []


async def test_it_answers_until_the_node_ends(make, tmp_path):
    api = make(local_key_file=a_key(tmp_path))
    api.listen()
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        running = tasks.create_task(api.run())
        headers = {"Authorization": "Bearer secret"}
        async with session.get(f"{api.url}/models", headers=headers) as response:
            assert (await response.json())["data"] == []
        async with session.get(f"{api.url}/models") as response:
            assert response.status == 401
        running.cancel()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(api.url.split(":")[2].removesuffix("/v1"))))

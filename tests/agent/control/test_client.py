from __future__ import annotations

import asyncio

import pytest

from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.schema import NodePlace
from byoi_agent.errors import AgentError, ConfigError


def test_nobody_at_the_socket_is_told(tmp_path):
    with pytest.raises(NodeUnreachable, match="no node answers"):
        ControlClient(socket_path=str(tmp_path / "none.sock")).status()


@pytest.mark.parametrize(
    "url", ["http://evil.example:80", "https://127.0.0.1:1", "127.0.0.1:1", "http://[::1"]
)
def test_the_token_goes_to_this_machine_only(url):
    with pytest.raises(ConfigError, match="http://127"):
        ControlClient(url=url, token="t").status()


async def test_the_wrong_token_is_told(server, ask):
    with pytest.raises(AgentError, match="does not take this control token"):
        await ask(ControlClient(url=server.url, token="wrong").status)


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"],
)
async def test_something_else_at_the_socket_is_told(tmp_path, ask, answer):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "x.sock")
    async with await asyncio.start_unix_server(speak, path):
        with pytest.raises(AgentError, match="answer"):
            await ask(ControlClient(socket_path=path).status)


def test_a_node_that_left_word_is_asked_by_its_socket_so_that_no_token_goes_astray():
    place = NodePlace(
        node_id="n", pid=1, control_url="http://127.0.0.1:1", control_token="t", control_socket="/s"
    )
    assert ControlClient.at(place) == ControlClient(socket_path="/s")
    alone = place.model_copy(update={"control_socket": None})
    assert ControlClient.at(alone) == ControlClient(url="http://127.0.0.1:1", token="t")
    assert "'t'" not in repr(ControlClient.at(alone))


def test_a_token_that_cannot_be_sent_is_the_owners_to_mend():
    client = ControlClient(url="http://127.0.0.1:9", token="two\nlines")
    with pytest.raises(ConfigError, match="control token"):
        client.status()


async def test_lines_are_followed_until_the_node_goes(tmp_path, ask):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    line = b'{"time": "", "level": "info", "logger": "x", "event": "e", "beside": 1}'
    events = b"event: log\ndata: " + line + b"\n\n: still here\n\n"

    async def speak(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"GET /api/logs?lines=3&level=info&follow=true ")
        writer.write(head + events + events)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "x.sock")
    async with await asyncio.start_unix_server(speak, path):
        lines = await ask(lambda: list(ControlClient(socket_path=path).follow_logs(3)))
    assert [(told.event, told.model_extra) for told in lines] == 2 * [("e", {"beside": 1})]


async def test_a_node_that_has_no_lines_to_follow_is_told(tmp_path, ask):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "x.sock")
    async with await asyncio.start_unix_server(speak, path):
        with pytest.raises(AgentError, match="503"):
            await ask(lambda: list(ControlClient(socket_path=path).follow_logs()))

from __future__ import annotations

import asyncio
import grp
import os
import stat

import pytest

from byoi_agent.control import listeners
from byoi_agent.control.listeners import bind_unix
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices


@pytest.fixture
def services(node):
    return ControlServices(status=node.status, offer=node.offer, usage=node.usage)


def test_the_sockets_group_is_the_one_that_is_named_where_there_is_one(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(os, "chown", lambda *what: given.append(what))
    here = grp.getgrgid(os.getgid())
    path = tmp_path / "c.sock"
    bind_unix(path, here.gr_name).close()
    assert given == [(path, -1, here.gr_gid)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize("group", ["no-such-group", None])
def test_without_such_a_group_it_stays_our_own(tmp_path, group):
    path = tmp_path / "c.sock"
    bind_unix(path, group).close()
    assert path.stat().st_gid == tmp_path.stat().st_gid


def test_a_group_that_we_may_not_give_is_left_alone(tmp_path, monkeypatch):
    def refuse(*_what):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    path = tmp_path / "c.sock"
    bind_unix(path, grp.getgrgid(os.getgid()).gr_name).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_one_connection_too_many_is_closed_and_the_others_stay(services, monkeypatch):
    monkeypatch.setattr(listeners, "MOST_CONNECTIONS", 3)
    async with ControlServer(services, None) as server, asyncio.timeout(60):
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        for _, writer in held:
            writer.write(request_to(server))
        for reader, _ in held:
            assert (await reader.readline()).endswith(b"200 OK\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        for each in (writer, *(writer for _, writer in held)):
            each.close()


async def test_who_never_ends_his_request_is_sent_away(services):
    async with ControlServer(services, None, idle_seconds=0.05) as server, asyncio.timeout(60):
        silent = await asyncio.open_connection("127.0.0.1", server.port)
        slow = await asyncio.open_connection("127.0.0.1", server.port)
        slow[1].write(b"GET /api/status HTTP/1.1\r\nHost: ")
        for reader, writer in (silent, slow):
            assert await reader.read() == b""
            writer.close()


async def test_a_body_that_never_comes_whole_is_refused(services, monkeypatch):
    monkeypatch.setattr("byoi_agent.control.manners.BODY_SECONDS", 0.05)
    async with ControlServer(services, None) as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request_to(server, "POST", b"Content-Length: 100\r\n") + b'{"a"')
        assert b"408" in await reader.readline()
        writer.close()


async def test_a_body_that_is_too_large_is_refused(services):
    async with ControlServer(services, None) as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        size = 65 * 1024
        head = request_to(server, "POST", f"Content-Length: {size}\r\n".encode())
        writer.write(head + b"x" * size)
        assert b"413" in await reader.readline()
        writer.close()


def request_to(server, method="GET", more=b""):
    head = (
        f"{method} /api/status HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\n"
    )
    return head.encode() + more + b"\r\n"

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from byoi_agent.control.actor import actor_of, name_actor
from byoi_agent.control.client import ControlClient
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices

NOBODY = 65534
ASK = """
import http.client, os, socket, sys
os.setgid(int(sys.argv[3])); os.setgroups([]); os.setuid(int(sys.argv[2]))
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
try:
    connection.sock.connect(sys.argv[1])
except PermissionError:
    sys.exit(13)
connection.request("POST", "/api/engine/wake", b"{}")
sys.exit(0 if connection.getresponse().status == 202 else 1)
"""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to ask as somebody else")


@pytest.fixture
def folder():
    """Where any user may come, so that the socket's own mode decides."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
async def served(node, folder):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage, engine=node)
    async with ControlServer(services, folder / "c.sock") as server:
        yield server


def actors(caplog):
    return [
        (line.actor, line.method, line.path, line.status)
        for line in caplog.records
        if line.message == "control request"
    ]


async def test_a_change_is_logged_with_who_asked_by_the_socket(served, ask, caplog):
    caplog.set_level(logging.INFO)
    client = ControlClient(socket_path=str(served.socket_path))
    await ask(client.status)
    await ask(client.wake)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert actors(caplog) == [(f"uid {os.getuid()} ({name})", "POST", "/api/engine/wake", 202)]


async def test_by_loopback_it_is_the_token(served, ask, caplog):
    caplog.set_level(logging.INFO)
    client = ControlClient(url=served.url, token=served.token)
    await ask(client.wake)
    assert [actor for actor, *_ in actors(caplog)] == ["token"]
    assert served.token not in caplog.text


@needs_root
async def test_another_user_of_the_group_is_named_as_what_he_is(served, ask, caplog):
    caplog.set_level(logging.INFO)
    os.chown(served.socket_path, -1, NOBODY)
    done = await ask(by_another, served.socket_path, NOBODY, NOBODY)
    assert done == 0
    assert [actor.split()[:2] for actor, *_ in actors(caplog)] == [["uid", str(NOBODY)]]


@needs_root
async def test_a_user_outside_the_group_cannot_even_connect(served, ask, node):
    assert await ask(by_another, served.socket_path, NOBODY, NOBODY) == 13
    assert not node.orders


def by_another(path, uid, gid):
    command = [sys.executable, "-c", ASK, str(path), str(uid), str(gid)]
    return subprocess.run(command, check=False, timeout=90).returncode


def test_without_a_connection_nobody_is_named():
    request = make_mocked_request("GET", "/")
    assert actor_of(request) == "unknown"
    name_actor(request, "dashboard")
    assert actor_of(request) == "dashboard"

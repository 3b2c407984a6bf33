from __future__ import annotations

import os
import pwd

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.control.client import ControlClient
from byoi_agent.control.presence import SessionReport
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import AgentError

ME = pwd.getpwuid(os.getuid()).pw_name


class Desk:
    def __init__(self):
        self.told = []
        self.is_full = False

    def report(self, helper, reading):
        self.told.append((helper, reading))
        return not self.is_full

    def end(self, helper):
        self.told.append((helper, "ended"))


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
async def server(node, desk, tmp_path):
    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, sessions=desk
    )
    async with ControlServer(services, tmp_path / "control.sock") as running:
        yield running


@pytest.fixture
def by_socket(server):
    return ControlClient(socket_path=str(server.socket_path))


@pytest.fixture
def by_token(server):
    return ControlClient(url=server.url, token=server.token)


REPORT = SessionReport(user="ann", session="c2", idle_seconds=3.0, sources=("mutter",))


async def test_on_the_socket_the_system_says_whose_session_it_is(ask, by_socket, desk):
    assert (await ask(by_socket.tell_of_session, REPORT)).user == ME
    reading = SessionReading(ME, 3.0, None, None, ("mutter",))
    assert desk.told == [(f"{ME} at c2", reading)]


async def test_with_the_token_the_owner_names_it(ask, by_token, desk):
    assert (await ask(by_token.tell_of_session, REPORT)).user == "ann"
    with pytest.raises(AgentError, match="name the user"):
        await ask(by_token.tell_of_session, SessionReport(session="c2"))


async def test_the_end_of_a_session_is_told(ask, by_socket, desk):
    await ask(by_socket.tell_of_session, SessionReport(session="c2", is_ended=True))
    assert desk.told == [(f"{ME} at c2", "ended")]


async def test_too_many_sessions_are_refused(ask, by_socket, desk):
    desk.is_full = True
    with pytest.raises(AgentError, match="too many sessions"):
        await ask(by_socket.tell_of_session, REPORT)


async def test_what_comes_every_few_seconds_is_not_logged(ask, by_socket, caplog):
    with caplog.at_level("INFO"):
        await ask(by_socket.tell_of_session, REPORT)
    assert "control request" not in caplog.text

from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.control.client import ControlClient
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import AgentError


class Watcher:
    """What the node's own would do, and what it was told."""

    def __init__(self):
        self.view = AvailabilityView()
        self.told = []

    def pause(self, seconds, *, finish, actor):
        self.told.append(("pause", seconds, finish, actor))
        self.view = replace(self.view, state="yield", code="paused", is_paused=True)

    def resume(self, actor):
        self.told.append(("resume", actor))
        self.view = AvailabilityView()

    def hold_for_update(self, version, seconds, actor):
        self.told.append(("update", version, seconds, actor))
        self.view = AvailabilityView(state="drain" if version else "serve", code="updating")

    def choose_mode(self, mode, actor):
        self.told.append(("mode", mode, actor))
        self.view = replace(self.view, mode=mode or "dedicated", mode_source="switch")


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
async def client(node, watcher, tmp_path):
    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, availability=watcher
    )
    async with ControlServer(services, tmp_path / "control.sock") as running:
        yield ControlClient(url=running.url, token=running.token)


async def test_a_pause_is_answered_with_what_holds_then(client, watcher, ask):
    held = await ask(client.pause, 60.0)
    assert (held.state, held.code, held.is_paused) == ("yield", "paused", True)
    await ask(lambda: client.pause(None, finish=True))
    assert watcher.told == [("pause", 60, False, "token"), ("pause", None, True, "token")]


async def test_a_pause_is_ended(client, watcher, ask):
    await ask(client.pause, None)
    assert (await ask(client.resume)).state == "serve"
    assert watcher.told[-1] == ("resume", "token")


async def test_an_update_waits_and_is_called_off(client, watcher, ask):
    held = await ask(client.hold_for_update, "1.1.0", 60.0)
    assert (held.state, held.code) == ("drain", "updating")
    assert (await ask(client.hold_for_update, None)).state == "serve"
    assert watcher.told == [("update", "1.1.0", 60, "token"), ("update", None, 600, "token")]


@pytest.mark.parametrize("mode", ["idle", "dedicated", "scheduled", None])
async def test_a_mode_is_chosen_or_taken_back(client, watcher, ask, mode):
    held = await ask(client.choose_mode, mode)
    assert held.mode == (mode or "dedicated")
    assert watcher.told == [("mode", mode, "token")]


@pytest.mark.parametrize("seconds", [0, -1, 1e12])
async def test_a_length_beyond_all_bounds_is_refused(client, watcher, ask, seconds):
    with pytest.raises(AgentError, match="at most 366 days"):
        await ask(client.pause, seconds)
    assert watcher.told == []


async def test_an_unknown_mode_is_refused_with_those_that_there_are(client, watcher, ask):
    with pytest.raises(AgentError, match='"idle", "scheduled", or null'):
        await ask(client.choose_mode, "sometimes")
    assert watcher.told == []

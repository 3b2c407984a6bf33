from __future__ import annotations

import pytest

from byoi_agent.availability.consents import Pin
from byoi_agent.availability.pins import PinsNotKept
from byoi_agent.control.client import ControlClient
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import AgentError, ConfigError


class Keeper:
    """What the node's own would do, and what it was told."""

    def __init__(self):
        self.pins = (Pin("pin_1", "org_1", "One", "why", "ada", 5),)
        self.told = []
        self.fault = None

    def consent(self, pin_id, actor):
        self._answer("yes", pin_id, actor)

    def refuse(self, pin_id, actor):
        self._answer("no", pin_id, actor)

    def _answer(self, what, pin_id, actor):
        if self.fault is not None:
            raise self.fault
        self.told.append((what, pin_id, actor))


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
async def client(node, keeper, tmp_path):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage, pins=keeper)
    async with ControlServer(services, tmp_path / "control.sock") as running:
        yield ControlClient(url=running.url, token=running.token)


async def test_who_wants_the_node_is_listed(client, ask):
    (pin,) = (await ask(client.pins)).pins
    assert (pin.id, pin.organisation, pin.state, pin.asked_by) == ("pin_1", "One", "asked", "ada")


@pytest.mark.parametrize(
    ("verb", "word"), [("consent", "yes"), ("refuse", "no"), ("withdraw", "no")]
)
async def test_the_owner_s_answer_is_given_with_who_said_it(client, keeper, ask, verb, word):
    await ask(client.answer_pin, "pin_1", verb)
    assert keeper.told == [(word, "pin_1", "token")]


@pytest.mark.parametrize("fault", [ConfigError("no such pin"), PinsNotKept("disk full")])
async def test_what_cannot_be_is_told(client, keeper, ask, fault):
    keeper.fault = fault
    with pytest.raises(AgentError, match=str(fault)):
        await ask(client.answer_pin, "pin_1", "consent")

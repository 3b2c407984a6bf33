from __future__ import annotations

import json

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import AvailabilityStatus


@pytest.fixture
def answering(monkeypatch):
    """A running node for which this holds after the pause."""

    def answer(state, code, reason):
        held = AvailabilityStatus(mode="idle", state=state, code=code, reason=reason)
        node = Instance(ControlClient(socket_path="/x"))
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances((node,), "data_dir"))
        monkeypatch.setattr(ControlClient, "resume", lambda _: held)

    return answer


def test_a_node_that_takes_requests_again_says_so(byoi, answering):
    answering("serve", "dedicated", "always serves")
    assert byoi("resume")[:2] == (0, "The node takes requests: always serves.\n")


def test_what_else_speaks_against_serving_is_told(byoi, answering):
    answering("yield", "active", "jo is at the keyboard")
    code, out, _ = byoi("resume")
    assert (code, out) == (0, "No pause any more, but not serving yet: jo is at the keyboard.\n")


def test_for_programs(byoi, answering):
    answering("serve", "away", "serves")
    assert json.loads(byoi("resume", "--json")[1])["code"] == "away"


def test_without_a_node_there_is_nothing_to_resume(byoi):
    assert byoi("resume")[0] == 69

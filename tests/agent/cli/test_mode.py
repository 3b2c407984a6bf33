from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import AvailabilityStatus

HELD = AvailabilityStatus(
    mode="idle",
    mode_source="setting",
    state="yield",
    code="active",
    reason="jo is at the keyboard",
)


@pytest.fixture
def node(monkeypatch):
    """A running node: what holds there, and what it was told."""
    node = SimpleNamespace(held=HELD, orders=[])

    def choose(_, mode):
        node.orders.append(mode)
        return HELD.model_copy(update={"mode": mode or "dedicated", "mode_source": "switch"})

    found = Instances((Instance(ControlClient(socket_path="/x")),), "data_dir")
    monkeypatch.setattr(module, "find", lambda *_, **__: found)
    monkeypatch.setattr(ControlClient, "choose_mode", choose)
    monkeypatch.setattr(ControlClient, "status", lambda _: SimpleNamespace(availability=node.held))
    return node


def test_without_a_mode_it_shows_what_holds_and_who_says_so(byoi, node):
    code, out, _ = byoi("mode")
    assert code == 0
    assert out == "idle (from the settings): the machine is yours, jo is at the keyboard\n"
    assert node.orders == []


@pytest.mark.parametrize(
    ("word", "order"),
    [("idle", "idle"), ("dedicated", "dedicated"), ("scheduled", "scheduled"), ("default", None)],
)
def test_a_mode_is_chosen(byoi, node, word, order):
    code, out, _ = byoi("mode", word)
    assert (code, node.orders) == (0, [order])
    assert out.startswith(
        f"{order or 'dedicated'} (switched by byoi mode; back: byoi mode default)"
    )


def test_for_programs(byoi, node):
    assert json.loads(byoi("mode", "--json")[1])["mode_source"] == "setting"


def test_another_word_is_told_with_those_that_there_are(byoi, node):
    code, _, err = byoi("mode", "sometimes")
    assert code == 64
    assert "'idle', 'dedicated', 'scheduled', 'default'" in err


def test_a_node_of_former_days_cannot_tell(byoi, node):
    node.held = None
    code, _, err = byoi("mode")
    assert code == 1
    assert "too old to tell" in err


def test_without_a_node_there_is_no_mode(byoi):
    assert byoi("mode")[0] == 69

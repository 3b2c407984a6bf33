from __future__ import annotations

import json
import time

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import AvailabilityStatus


@pytest.fixture
def orders(monkeypatch):
    """What a running node was told."""
    given = []

    def pause(_, seconds, *, finish):
        given.append((seconds, finish))
        return AvailabilityStatus(
            mode="dedicated",
            state="drain" if finish else "yield",
            code="paused",
            reason="paused by you",
            is_paused=True,
            paused_until=None if seconds is None else time.time() + seconds,
        )

    node = Instance(ControlClient(socket_path="/x"))
    monkeypatch.setattr(module, "find", lambda *_, **__: Instances((node,), "data_dir"))
    monkeypatch.setattr(ControlClient, "pause", pause)
    return given


def test_a_pause_holds_until_resumed(byoi, orders):
    code, out, _ = byoi("pause")
    assert (code, orders) == (0, [(None, False)])
    assert out.startswith("Paused until byoi resume. Nothing new is taken, the machine is yours")


def test_a_pause_for_a_time_says_when_it_ends(byoi, orders):
    code, out, _ = byoi("pause", "--for", "2h", "--finish")
    assert (code, orders) == (0, [(7200.0, True)])
    assert "earlier: byoi resume" in out
    assert "what runs may end first" in out


def test_a_pause_until_a_time_of_day_ends_within_a_day(byoi, orders):
    assert byoi("pause", "--until", "18:30")[0] == 0
    ((seconds, _),) = orders
    assert 0 < seconds <= 25 * 3600
    assert time.strftime("%H:%M", time.localtime(time.time() + seconds + 1)) == "18:30"


def test_for_programs(byoi, orders):
    told = json.loads(byoi("pause", "--json")[1])
    assert (told["state"], told["is_paused"], told["paused_until"]) == ("yield", True, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--for", "soon"), "type for example 90m"),
        (("--until", "25:00"), "type for example 18:30"),
        (("--for", "2h", "--until", "18:30"), "give one of them"),
    ],
)
def test_a_wrong_word_is_told_with_its_mend(byoi, orders, arguments, words):
    code, _, err = byoi("pause", *arguments)
    assert (code, orders) == (64, [])
    assert words in err


def test_without_a_node_there_is_nothing_to_pause(byoi):
    code, _, err = byoi("pause")
    assert code == 69
    assert "no node runs here" in err


def test_a_node_that_has_gone_is_told(byoi, orders, monkeypatch):
    def gone(*_, **__):
        raise NodeUnreachable("no node answers at /x")

    monkeypatch.setattr(ControlClient, "pause", gone)
    assert byoi("pause")[0] == 69

from __future__ import annotations

import json

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.pins import PinList, PinStatus


def pin(name="pin_1", state="asked", **more):
    facts = {
        "id": name,
        "org_id": "org_1",
        "organisation": "One",
        "reason": "for the [b]night[/b]",
        "asked_by": "ada@example.org",
        "asked_at_ms": 1_700_000_000_000,
        "actor": "",
        "at_ms": 0,
    }
    return PinStatus(**{**facts, **more}, state=state)


@pytest.fixture
def known(monkeypatch):
    """What a running node keeps."""
    found = []
    node = Instance(ControlClient(socket_path="/x"))
    monkeypatch.setattr(module, "find", lambda *_, **__: Instances((node,), "data_dir"))
    monkeypatch.setattr(ControlClient, "pins", lambda _: PinList(pins=tuple(found)))
    return found


@pytest.fixture
def answers(monkeypatch, known):
    """What it was told."""
    given = []

    def answer(_, pin_id, verb):
        given.append((pin_id, verb))
        return PinList(pins=tuple(known))

    monkeypatch.setattr(ControlClient, "answer_pin", answer)
    return given


def test_nobody_has_asked(byoi, known):
    code, out, _ = byoi("pins")
    assert (code, out) == (0, "Nobody has asked for this node.\n")


def test_who_asks_is_shown_with_what_to_type(byoi, known):
    known.append(pin())
    code, out, _ = byoi("pins")
    assert code == 0
    for part in ("pin_1", "One", "asked", "ada@example.org", "for the [b]night[/b]"):
        assert part in out
    assert "byoi pins consent" in out


def test_programs_get_all_of_it(byoi, known):
    known.append(pin(state="granted", actor="jo", at_ms=5))
    _, out, _ = byoi("pins", "--json")
    assert json.loads(out)["pins"][0]["actor"] == "jo"


@pytest.mark.parametrize(
    ("verb", "state"), [("consent", "asked"), ("refuse", "asked"), ("withdraw", "granted")]
)
def test_the_only_one_that_can_be_meant_needs_no_name(byoi, known, answers, verb, state):
    known.extend([pin("pin_0", "refused"), pin("pin_1", state)])
    code, out, _ = byoi("pins", verb)
    assert (code, answers) == (0, [("pin_1", verb)])
    assert "One" in out


def test_a_pin_is_named_by_its_id_or_its_organisation(byoi, known, answers):
    known.extend([pin(), pin("pin_2", org_id="org_2", organisation="Two")])
    assert byoi("pins", "consent", "pin_2")[0] == 0
    assert byoi("pins", "refuse", "One", "--json")[0] == 0
    assert answers == [("pin_2", "consent"), ("pin_1", "refuse")]


def test_what_cannot_be_meant_is_told(byoi, known, answers):
    code, _, err = byoi("pins", "withdraw")
    assert code == 1
    assert "nothing to answer; see: byoi pins" in err
    known.extend([pin(), pin("pin_2", org_id="org_2")])
    code, _, err = byoi("pins", "consent")
    assert "pin_1, pin_2; name one" in err
    code, _, err = byoi("pins", "consent", "pin_9")
    assert "no pin 'pin_9'" in err
    assert answers == []

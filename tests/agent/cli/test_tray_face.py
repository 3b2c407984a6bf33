from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from byoi_agent.cli.tray_face import (
    HOUR_SECONDS,
    Choose,
    Entry,
    OpenDashboard,
    Pause,
    Quit,
    Resume,
    face_of,
)
from byoi_agent.control.schema import AvailabilityStatus

NOW = time.time()


def status(*, link="online", engine="ready", warnings=(), **held):
    facts = {"mode": "idle", "state": "serve", "code": "away", "reason": "you are away"} | held
    return SimpleNamespace(
        availability=AvailabilityStatus(**facts),
        link=SimpleNamespace(state=link),
        engine=engine and SimpleNamespace(state=engine),
        warnings=[SimpleNamespace(text=text) for text in warnings],
    )


def actions(face):
    return [entry.action for entry in face.menu if entry is not None and entry.action is not None]


def test_a_node_that_serves_can_be_paused_and_a_click_does_it():
    face = face_of(status(), NOW)
    assert (face.look, face.title) == ("serving", "byoi: serves: you are away")
    assert face.menu[0] == Entry("Serves: you are away")
    assert actions(face) == [
        Pause(None),
        Pause(HOUR_SECONDS),
        Choose("idle"),
        Choose("dedicated"),
        Choose("scheduled"),
        OpenDashboard(),
        Quit(),
    ]
    (default,) = [entry for entry in face.menu if entry is not None and entry.is_default]
    assert default.action == Pause(None)


def test_the_mode_that_holds_is_checked():
    face = face_of(status(mode="scheduled"), NOW)
    checked = {entry.action: entry.is_checked for entry in face.menu if entry is not None}
    assert (checked[Choose("scheduled")], checked[Choose("idle")]) == (True, False)


@pytest.mark.parametrize(
    ("until", "words"),
    [(None, "paused until resumed"), (NOW + 60, "paused until ")],
    ids=["resumed", "a time"],
)
def test_a_pause_can_be_ended_by_a_click(until, words):
    face = face_of(status(state="yield", is_paused=True, paused_until=until), NOW)
    assert face.look == "paused"
    assert words in face.title
    (default,) = [entry for entry in face.menu if entry is not None and entry.is_default]
    assert default.action == Resume()
    assert Pause(None) not in actions(face)


def test_an_owner_at_the_machine_is_told():
    face = face_of(status(state="yield", code="active", reason="jo uses the machine"), NOW)
    assert (face.look, face.title) == ("away", "byoi: does not serve: jo uses the machine")


@pytest.mark.parametrize(
    "trouble", [{"link": "backing_off"}, {"engine": None}, {"engine": "failed"}]
)
def test_a_node_that_wants_to_serve_and_cannot_is_in_trouble(trouble):
    face = face_of(status(**trouble), NOW)
    assert face.look == "trouble"
    assert "byoi status" in face.title


def test_warnings_are_told_and_cut():
    face = face_of(status(warnings=["x" * 500, "second", "third", "fourth"]), NOW)
    told = [entry.text for entry in face.menu if entry is not None and entry.text[0] == "!"]
    assert [len(text) for text in told] == [100, 8, 7]


@pytest.mark.parametrize("nothing", [None, SimpleNamespace(availability=None)])
def test_where_no_node_answers_the_icon_is_grey_and_can_be_quit(nothing):
    face = face_of(nothing, NOW)
    assert face.look == "gone"
    assert actions(face) == [Quit()]

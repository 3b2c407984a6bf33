from __future__ import annotations

import pytest

from byoi_agent.control.dashboard.pictures import engine_kind, joules_of, link_kind, switch_of
from byoi_agent.control.money import Balance
from byoi_agent.control.schema import AvailabilityStatus, EngineStatus, LinkStatus


def availability(**facts):
    told = {"mode": "idle", "state": "serve", "code": "x", "reason": "nobody is here"}
    return AvailabilityStatus(**{**told, **facts})


@pytest.mark.parametrize(
    ("facts", "word", "kind", "sentence"),
    [
        ({}, "Serving", "ok", "Nobody is here."),
        (
            {"availability": availability(state="yield", reason="you are typing")},
            "Yours",
            "idle",
            "You are typing.",
        ),
        (
            {"availability": availability(state="drain", reason="quiet hours"), "running": 2},
            "Making way",
            "warn",
            "Quiet hours. 2 requests still being answered.",
        ),
        (
            {"availability": availability(state="drain", reason="quiet hours"), "running": 0},
            "Yours",
            "idle",
            "Quiet hours.",
        ),
        (
            {"availability": availability(state="yield", is_paused=True, reason="you paused it")},
            "Paused",
            "idle",
            "You paused it.",
        ),
        (
            {"availability": availability(state="drain", is_paused=True, reason="so be it!")},
            "Paused",
            "idle",
            "So be it! 1 request still being answered.",
        ),
        ({"is_draining": True}, "Stopping", "warn", "The node ends; what it is"),
        (
            {"link": LinkStatus(state="waiting", console_url="http://x")},
            "Not connected",
            "bad",
            "The console cannot be reached",
        ),
        (
            {"is_serving": False, "engine": EngineStatus(state="starting", kind="vllm")},
            "Getting ready",
            "warn",
            "The engine is not ready yet: starting.",
        ),
        ({"is_serving": False, "engine": None}, "Getting ready", "warn", "not ready yet: none."),
    ],
)
def test_the_state_is_told_in_a_word_and_a_sentence(report, facts, word, kind, sentence):
    switch = switch_of(report(**{"availability": availability(), **facts}))
    assert (switch.word, switch.kind) == (word, kind)
    assert sentence in switch.sentence


def test_a_pause_ends_when_it_was_said_to_and_a_mode_has_a_name(report):
    paused = availability(is_paused=True, paused_until=9.0, until=5.0)
    assert switch_of(report(availability=paused)).until == 9.0
    assert switch_of(report(availability=availability(until=5.0))).until == 5.0
    assert switch_of(report(availability=paused)).mode_label == "When I am away"
    assert switch_of(report(availability=availability(mode="new"))).mode_label == "new"


def test_a_reason_may_be_missing(report):
    assert switch_of(report(availability=availability(reason=" "))).sentence == ""
    assert switch_of(report(availability=None)).word == "Serving"


def test_states_have_colours():
    assert [engine_kind(state) for state in ("ready", "failed", "asleep")] == ["ok", "bad", "idle"]
    assert [link_kind(state) for state in ("online", "waiting", "stopped")] == ["ok", "bad", "bad"]


def test_a_day_s_energy_is_all_of_it():
    assert joules_of(Balance()) is None
    assert joules_of(Balance(joules=1.0, idle_joules=2.0)) == 3.0

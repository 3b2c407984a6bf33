from __future__ import annotations

from datetime import UTC, datetime

import pytest

from byoi_agent.availability.policy import Decision
from byoi_agent.availability.rules import RULES, Inputs
from byoi_agent.availability.words import TO_OTHERS, clock_time, person_of, reason_of
from byoi_agent.config.availability import Idle

NOW = datetime(2026, 11, 21, 16, 0, tzinfo=UTC).timestamp()
HALF_PAST_SIX = NOW + 2.5 * 3600


def local(at):
    return datetime.fromtimestamp(at, UTC)


def told(state, code, what="", until=None, *, is_over=False, inputs=None):
    decision = Decision("idle", state, code, what, is_over, until)
    return reason_of(decision, inputs or Inputs(), NOW, local)


@pytest.mark.parametrize(
    ("code", "what", "until", "words"),
    [
        ("paused", "uid 1000 (jo)", HALF_PAST_SIX, "paused by jo until 18:30"),
        ("paused", "token", None, "paused by you until resumed"),
        ("paused", "dashboard", NOW + 86_400, "paused by you until Sun 16:00"),
        (
            "paused_to_finish",
            "token",
            HALF_PAST_SIX,
            "paused by you until 18:30; what runs may end first",
        ),
        ("updating", "1.1.0", None, "1.1.0 is about to be installed; what runs may end first"),
        (
            "active",
            "jo",
            HALF_PAST_SIX,
            "jo is at the keyboard; serves again after 5 minutes without a key",
        ),
        (
            "unreadable",
            "jo",
            None,
            "nobody can tell whether jo is at the keyboard; see: byoi doctor",
        ),
        ("looking", "", None, "looks first whether anybody uses the machine"),
        ("fullscreen", "mpv", None, "mpv fills the screen"),
        ("program", "blender", None, "blender runs"),
        (
            "foreign_gpu",
            "cyberpunk.exe uses 3.2 GiB of GPU 0",
            None,
            "cyberpunk.exe uses 3.2 GiB of GPU 0",
        ),
        ("hot", "GPU 0 is at 91 °C of at most 90", None, "GPU 0 is at 91 °C of at most 90"),
        ("battery", "", None, "on battery"),
        ("metered", "", None, "the network is metered"),
        ("quiet", "", HALF_PAST_SIX, "quiet hours until 18:30"),
        ("quiet", "", None, "quiet hours"),
        ("outside_window", "", HALF_PAST_SIX, "outside of the schedule's windows; next at 18:30"),
        (
            "outside_window",
            "",
            None,
            "outside of the schedule's windows; none opens, see: byoi schedule",
        ),
        ("held_back", "a kWh costs 0.4 now", None, "a kWh costs 0.4 now"),
    ],
)
def test_why_it_does_not_serve(code, what, until, words):
    assert told("yield", code, what, until) == words


@pytest.mark.parametrize(
    ("minutes", "words"), [(1, "1 minute"), (2.5, "2.5 minutes"), (60, "60 minutes")]
)
def test_the_owners_own_minutes_are_told(minutes, words):
    inputs = Inputs(idle=Idle(after_minutes=minutes))
    assert f"after {words} without" in told("yield", "active", "jo", inputs=inputs)


@pytest.mark.parametrize(
    ("code", "what", "words"),
    [
        ("active", "jo", "jo has just left"),
        ("unreadable", "jo", "jo may have been at the keyboard"),
        ("program", "blender", "blender has just ended"),
        ("fullscreen", "mpv", "mpv has just ended"),
        ("battery", "", "was on battery"),
        ("metered", "", "the network was metered"),
        ("foreign_gpu", "game uses GPU 0", "a moment ago: game uses GPU 0"),
    ],
)
def test_a_cause_that_has_gone_is_told_as_gone(code, what, words):
    assert told("yield", code, what, HALF_PAST_SIX, is_over=True) == (
        f"{words}; serves again at 18:30"
    )


def test_where_no_moment_is_known_none_is_told():
    assert told("yield", "battery", is_over=True) == "was on battery; serves again"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("dedicated", "always serves"),
        ("away", "serves while nobody is at the machine"),
        ("in_window", "serves as the schedule says"),
        ("pinned", "serves acme alone, as you allowed"),
    ],
)
def test_why_it_serves(code, words):
    assert told("serve", code, "acme") == words


def test_others_hear_of_each_rule_and_of_nothing_that_the_owner_does():
    assert set(TO_OTHERS) == {rule.code for rule in RULES}
    said = {reason for _, reason in TO_OTHERS.values()}
    assert not [words for words in said if "key" in words or "program" in words]


def test_a_moment_of_another_day_has_its_day():
    assert clock_time(NOW + 86_400, NOW, local) == "Sun 16:00"
    assert clock_time(NOW, NOW, local) == "16:00"


@pytest.mark.parametrize(
    ("actor", "person"),
    [("uid 1000 (jo)", "jo"), ("uid 1000", "you"), ("token", "you"), ("dashboard", "you")],
)
def test_who_it_was(actor, person):
    assert person_of(actor) == person

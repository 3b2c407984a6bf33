from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.policy import LOOK_SECONDS, Decision, caused_at, decide
from byoi_agent.availability.readings import ForeignUse, MachineReading, SessionReading
from byoi_agent.availability.rules import RULES, Inputs, Now, Pause, Seen, Updating
from byoi_agent.config.availability import Idle, Protect
from byoi_agent.hardware.devices import DeviceReading

WALL = 1_800_000_000.0
GIB = 1024**3
MODES = ("dedicated", "idle", "scheduled")
OPEN = CalendarState(is_open=True)
GAME = ForeignUse(0, 7, "game", GIB)
HOT = DeviceReading(0, "nvidia", "card", temperature_celsius=95.0, slowdown_celsius=90.0)
THIRSTY = DeviceReading(0, "nvidia", "card", power_watts=400.0)

BY_RULE = {
    "paused": {"pause": Pause("token")},
    "active": {"sessions": (Seen(SessionReading("jo", idle_seconds=1.0), 0.0),)},
    "unreadable": {"sessions": (Seen(SessionReading("jo"), 0.0),)},
    "fullscreen": {
        "sessions": (Seen(SessionReading("jo", idle_seconds=9e9, fullscreen="mpv"), 0.0),)
    },
    "program": {"machine": MachineReading(programs=("blender",))},
    "foreign_gpu": {"foreign": (GAME,)},
    "looking": {"looks_until": 1.0},
    "paused_to_finish": {"pause": Pause("token", finish=True)},
    "updating": {"updating": Updating("1.1.0", 100.0)},
    "hot": {"devices": (HOT,)},
    "power": {"devices": (THIRSTY,), "protect": Protect(power_watts=300)},
    "disk": {"disk_free_bytes": 0},
    "quiet": {"calendar": CalendarState(is_open=True, is_quiet=True)},
    "battery": {"machine": MachineReading(on_battery=True)},
    "metered": {"machine": MachineReading(is_metered=True)},
    "outside_window": {"calendar": CalendarState()},
    "held_back": {"calendar": CalendarState(is_open=True, holds_back=("too dear",))},
}
"""Of each rule the one input that makes it hold."""


def at(elapsed, wall=None):
    return Now(elapsed, WALL + elapsed if wall is None else wall)


def run(inputs, *moments, before=None):
    """The decision after these moments."""
    decision = before or Decision()
    for elapsed in moments:
        decision = decide(inputs, decision, at(elapsed))
    return decision


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_row_holds_in_its_modes_and_in_no_other(rule, mode):
    inputs = replace(Inputs(mode=mode, calendar=OPEN), **BY_RULE[rule.code])
    decision = run(inputs, 0.0, rule.onset_seconds)
    if mode in rule.modes:
        assert (decision.state, decision.code) == (rule.state, rule.code)
    else:
        assert decision.state == "serve"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_pinned_node_heeds_what_a_dedicated_one_heeds_and_nothing_else(rule):
    inputs = replace(Inputs(mode="idle", pinned_to="acme", calendar=OPEN), **BY_RULE[rule.code])
    decision = run(inputs, 0.0, rule.onset_seconds)
    assert decision.mode == "dedicated"
    assert (decision.state != "serve") == ("dedicated" in rule.modes)


def test_what_yields_is_told_before_what_drains():
    inputs = Inputs(mode="idle", foreign=(GAME,), machine=MachineReading(on_battery=True))
    assert run(inputs, 0.0).code == "foreign_gpu"
    assert run(replace(inputs, foreign=()), 0.0).code == "battery"


@pytest.mark.parametrize(
    "code", [each.code for each in RULES if each.settles(Inputs()) and each.code != "active"]
)
def test_a_cause_that_has_gone_is_waited_for(code):
    mode = "idle"
    gone = Inputs(mode=mode, calendar=OPEN, protect=Protect(power_watts=300))
    held = run(replace(gone, **BY_RULE[code]), 0.0, 10.0)
    over = run(gone, 69.9, before=held)
    assert (held.code, over.code) == (code, code)
    assert (held.is_over, over.is_over) == (False, True)
    assert over.until == pytest.approx(WALL + 70)
    assert over.look_at == 70.0
    assert over.what == held.what
    assert run(gone, 70.0, before=over).state == "serve"


def test_whoever_was_at_the_keyboard_is_waited_for_from_the_last_key_on():
    inputs = Inputs(mode="idle", sessions=BY_RULE["active"]["sessions"])
    held = run(inputs, 0.0)
    assert held.until == WALL + 299
    assert run(inputs, 298.9, before=held).code == "active"
    assert run(inputs, 299.0, before=held).code == "unreadable"  # silent for longer than a minute
    fresh = (Seen(SessionReading("jo", idle_seconds=298.9), 297.9),)
    assert run(replace(inputs, sessions=fresh), 298.9, before=held).code == "active"
    assert run(replace(inputs, sessions=fresh), 299.0, before=held).state == "serve"


def test_a_locked_screen_is_left_after_the_settling_time_and_not_before():
    inputs = Inputs(mode="idle", sessions=BY_RULE["active"]["sessions"])
    held = run(inputs, 0.0)
    locked = replace(inputs, sessions=(Seen(SessionReading("jo", 5.0, is_locked=True), 5.0),))
    left = run(locked, 5.0, before=held)
    assert (left.code, left.is_over) == ("active", True)
    assert run(locked, 59.0, before=left).state == "serve"
    assert run(locked, 5.0).state == "serve"  # nobody was there before


def test_nobody_signed_in_means_nobody_there():
    assert run(Inputs(mode="idle"), 0.0).code == "away"


def test_a_peak_of_power_is_no_reason():
    calm = Inputs(protect=Protect(power_watts=300))
    peak = replace(calm, devices=(THIRSTY,))
    assert run(peak, 0.0, 9.9).state == "serve"
    assert run(peak, 0.0).look_at == 10.0
    assert run(peak, 0.0, 10.0).code == "power"
    broken = run(calm, 5.0, before=run(peak, 0.0))
    assert run(peak, 5.1, 15.0, before=broken).state == "serve"
    assert run(peak, 5.1, 15.1, before=broken).code == "power"


def test_power_that_comes_back_while_it_settles_counts_at_once():
    calm = Inputs(protect=Protect(power_watts=300))
    peak = replace(calm, devices=(THIRSTY,))
    held = run(peak, 0.0, 10.0)
    again = run(peak, 40.0, before=run(calm, 30.0, before=held))
    assert (again.code, again.is_over) == ("power", False)


def test_a_pause_ends_at_its_end_however_the_clock_is_set():
    inputs = Inputs(pause=Pause("token", 7200.0))
    held = run(inputs, 0.0)
    assert held.until == WALL + 7200
    for wall in (0.0, WALL - 1e9, WALL + 7200, WALL + 1e9):
        moved = decide(inputs, held, at(7199.0, wall))
        assert moved.code == "paused"
        assert moved.until == wall + 1
        assert decide(inputs, moved, at(7200.0, wall)).state == "serve"


def test_a_moment_that_is_reckoned_anew_stays_the_same():
    inputs = Inputs(pause=Pause("token", 7200.0))
    held = run(inputs, 0.0)
    assert decide(inputs, held, Now(10.0, WALL + 10.4)).until == held.until
    assert decide(inputs, held, Now(10.0, WALL + 13.0)).until == WALL + 7203


def test_a_moment_of_the_past_is_not_told():
    inputs = Inputs(calendar=CalendarState(is_quiet=True, quiet_changes_at=WALL + 5))
    assert run(inputs, 4.0).until == WALL + 5
    assert run(inputs, 4.0, 5.0).until is None


def test_it_is_looked_at_again_before_long_whatever_is_foreseen():
    assert run(Inputs(), 5.0).look_at == 5.0 + LOOK_SECONDS
    assert run(Inputs(pause=Pause("token", 9e9)), 5.0).look_at == 5.0 + LOOK_SECONDS
    assert run(Inputs(pause=Pause("token", 6.0)), 5.0).look_at == 6.0


def test_a_mode_that_is_chosen_holds_at_once():
    held = run(Inputs(mode="idle", foreign=(GAME,)), 0.0)
    assert run(Inputs(mode="dedicated", foreign=(GAME,)), 0.1, before=held).state == "serve"
    assert run(Inputs(mode="idle", foreign=(GAME,)), 0.2, before=held).state == "yield"


# Whatever comes in whatever order.

sessions = st.lists(
    st.builds(
        SessionReading,
        user=st.sampled_from(["jo", "eva"]),
        idle_seconds=st.one_of(st.none(), st.floats(0, 1e4)),
        is_locked=st.one_of(st.none(), st.booleans()),
        fullscreen=st.sampled_from([None, "mpv"]),
    ),
    max_size=2,
)
worlds = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(MODES),
        "pinned_to": st.sampled_from([None, "acme"]),
        "is_paused": st.booleans(),
        "pause_seconds": st.one_of(st.none(), st.floats(0.1, 500)),
        "finish": st.booleans(),
        "readings": sessions,
        "machine": st.builds(
            MachineReading,
            on_battery=st.one_of(st.none(), st.booleans()),
            is_metered=st.one_of(st.none(), st.booleans()),
            programs=st.sampled_from([(), ("blender",)]),
        ),
        "foreign": st.sampled_from([(), (GAME,)]),
        "calendar": st.builds(
            CalendarState,
            is_open=st.booleans(),
            is_quiet=st.booleans(),
            holds_back=st.sampled_from([(), ("too dear",)]),
            changes_at=st.one_of(st.none(), st.floats(WALL - 1e4, WALL + 1e4)),
        ),
        "devices": st.sampled_from([(), (HOT,), (THIRSTY,)]),
        "disk_free_bytes": st.sampled_from([None, 0, 10 * GIB]),
        "return_minutes": st.sampled_from([0.0, 1.0, 10.0]),
        "passes": st.floats(0, 120),
        "clock_jumps": st.sampled_from([0.0, 0.0, 0.0, -1e6, 1e6]),
    }
)


def played(story):
    """Each moment of a story: inputs, now, decision."""
    decision, elapsed, wall = Decision(), 0.0, WALL
    for world in story:
        elapsed += world["passes"]
        wall += world["passes"] + world["clock_jumps"]
        now = Now(elapsed, wall)
        inputs = world_inputs(world, now)
        decision = decide(inputs, decision, now)
        yield inputs, now, decision


def world_inputs(world, now):
    plain = ("mode", "pinned_to", "machine", "foreign", "calendar", "devices", "disk_free_bytes")
    pause = None
    if world["is_paused"]:
        left = world["pause_seconds"]
        pause = Pause("token", None if left is None else now.elapsed + left, world["finish"])
    return Inputs(
        **{name: world[name] for name in plain},
        pause=pause,
        sessions=tuple(Seen(reading, now.elapsed) for reading in world["readings"]),
        idle=Idle(return_minutes=world["return_minutes"]),
        protect=Protect(power_watts=300),
    )


stories = st.lists(worlds, min_size=1, max_size=6)


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_a_paused_node_never_serves(story):
    for inputs, _, decision in played(story):
        if inputs.pause is not None:
            may = {"yield", "drain"} if inputs.pause.finish else {"yield"}
            assert decision.state in may


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_the_decision_is_the_one_of_the_table(story):
    for inputs, now, decision in played(story):
        mode = "dedicated" if inputs.pinned_to else inputs.mode
        assert decision.mode == mode
        if decision.state == "serve":
            instant = [each for each in RULES if mode in each.modes and not each.onset_seconds]
            assert not [each.code for each in instant if each.look(inputs, now, False)]
        else:
            rule = next(each for each in RULES if each.code == decision.code)
            assert (rule.state, mode in rule.modes) == (decision.state, True)


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_the_same_moment_again_changes_nothing(story):
    for inputs, now, decision in played(story):
        assert decide(inputs, decision, now) == decision


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_no_moment_told_is_of_the_past(story):
    for _, now, decision in played(story):
        assert decision.until is None or decision.until > now.wall
        assert decision.look_at > now.elapsed


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_a_rule_that_held_is_not_over_before_its_time(story):
    """No flapping: between a cause's going and serving again its settling time has passed."""
    last_there = {}
    for inputs, now, decision in played(story):
        for rule in RULES:
            cause = rule.look(inputs, now, rule.code in decision.marks)
            mark = decision.marks.get(rule.code)
            if cause is not None and mark is not None and mark.held_at is not None:
                last_there[rule.code] = now.elapsed if cause.at is None else cause.at
            elif (
                decision.state == "serve"
                and rule.code in last_there
                and decision.mode in (rule.modes)
            ):
                assert now.elapsed >= last_there[rule.code] + rule.settles(inputs)


@settings(max_examples=40)
@given(stories)
def test_whatever_comes_a_withdrawn_pin_holds_at_once(story):
    for inputs, now, decision in played(story):
        if inputs.pinned_to:
            free = decide(replace(inputs, pinned_to=None), decision, now)
            assert free.mode == inputs.mode
            held = [e.code for e in RULES if inputs.mode in e.modes and e.look(inputs, now, False)]
            assert free.state != "serve" or set(held) <= {"power"}


def cause_of(inputs, moment, before=None):
    before = before or decide(Inputs(mode="idle", calendar=OPEN), Decision(), at(0.0))
    return caused_at(before, decide(inputs, before, at(moment)), at(moment))


def test_the_cause_is_the_key_itself_not_the_look_that_found_it():
    seen = Seen(SessionReading("jo", idle_seconds=0.75), 20.0)
    assert cause_of(Inputs(mode="idle", sessions=(seen,)), 20.5) == 19.25


def test_the_cause_of_a_pause_is_the_order_and_of_the_return_the_return():
    paused = decide(Inputs(pause=Pause("token")), Decision(), at(5.0))
    assert caused_at(Decision(), paused, at(5.0)) == 5.0
    assert cause_of(Inputs(), 9.0, before=paused) == 9.0


def test_what_was_there_before_is_no_cause_another_mode_is():
    seen = Seen(SessionReading("jo", idle_seconds=90.0), 20.0)
    dedicated = decide(Inputs(sessions=(seen,)), Decision(), at(20.0))
    assert dedicated.state == "serve"
    assert cause_of(Inputs(mode="idle", sessions=(seen,)), 21.0, before=dedicated) == 21.0

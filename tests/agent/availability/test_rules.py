from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.readings import ForeignUse, MachineReading, SessionReading
from byoi_agent.availability.rules import (
    RULES,
    STALE_SECONDS,
    Cause,
    Inputs,
    Now,
    Pause,
    Seen,
    Updating,
    is_ignored,
    serving,
)
from byoi_agent.config.availability import Idle, Protect
from byoi_agent.hardware.devices import DeviceReading

GIB = 1024**3
NOW = Now(10_000.0, 1_800_000_000.0)
LATER = NOW.wall + 3600


def seen(at=NOW.elapsed, **facts):
    return Seen(SessionReading("jo", **facts), at)


def gpu(**facts):
    return DeviceReading(0, "nvidia", "card", **facts)


CAUSES = {
    "paused": [
        (Inputs(pause=Pause("uid 1 (jo)")), Cause("uid 1 (jo)")),
        (Inputs(pause=Pause("token", 10_001.0)), Cause("token", ends=10_001.0)),
    ],
    "active": [
        (
            Inputs(sessions=(seen(idle_seconds=10.0),)),
            Cause("jo", at=9_990.0, ends=10_290.0),
        ),
        (
            Inputs(
                sessions=(
                    seen(idle_seconds=9e9),
                    Seen(SessionReading("eva", idle_seconds=0.0), 9_999.0),
                )
            ),
            Cause("eva", at=9_999.0, ends=10_299.0),
        ),
        (
            Inputs(
                sessions=(seen(idle_seconds=60.0, is_locked=False),), idle=Idle(after_minutes=2)
            ),
            Cause("jo", at=9_940.0, ends=10_060.0),
        ),
    ],
    "unreadable": [
        (Inputs(sessions=(seen(),)), Cause("jo")),
        (Inputs(sessions=(seen(idle_seconds=9e9), seen())), Cause("jo")),
        (
            Inputs(sessions=(seen(at=NOW.elapsed - STALE_SECONDS, is_locked=True),)),
            Cause("jo"),
        ),
    ],
    "fullscreen": [
        (Inputs(sessions=(seen(idle_seconds=9e9, fullscreen="mpv"),)), Cause("mpv")),
    ],
    "program": [
        (Inputs(machine=MachineReading(programs=("blender", "krita"))), Cause("blender")),
        (
            Inputs(
                machine=MachineReading(programs=("blender", "krita")),
                idle=Idle(ignored_programs=("BLEN*",)),
            ),
            Cause("krita"),
        ),
    ],
    "foreign_gpu": [
        (
            Inputs(foreign=(ForeignUse(0, 7, "cyberpunk.exe", int(3.2 * GIB)),)),
            Cause("cyberpunk.exe uses 3.2 GiB of GPU 0"),
        ),
        (Inputs(foreign=(ForeignUse(1, 7, "x"),)), Cause("x uses GPU 1")),
    ],
    "looking": [(Inputs(looks_until=10_001.0), Cause(ends=10_001.0))],
    "paused_to_finish": [
        (Inputs(pause=Pause("dashboard", finish=True)), Cause("dashboard")),
    ],
    "updating": [
        (
            Inputs(updating=Updating("1.1.0", NOW.elapsed + 60)),
            Cause("1.1.0", ends=NOW.elapsed + 60),
        ),
    ],
    "hot": [
        (
            Inputs(devices=(gpu(temperature_celsius=88.0, slowdown_celsius=90.0),)),
            Cause("GPU 0 is at 88 °C of at most 88"),
        ),
        (
            Inputs(
                devices=(gpu(), gpu(temperature_celsius=71.0, slowdown_celsius=90.0)),
                protect=Protect(temperature_celsius=70),
            ),
            Cause("GPU 0 is at 71 °C of at most 70"),
        ),
    ],
    "power": [
        (
            Inputs(
                devices=(gpu(power_watts=200.0), gpu(power_watts=101.0), gpu()),
                protect=Protect(power_watts=300),
            ),
            Cause("the GPUs draw 301 W of at most 300"),
        ),
    ],
    "disk": [
        (
            Inputs(disk_free_bytes=GIB // 2),
            Cause("0.5 GiB of disk are free of at least 1"),
        ),
    ],
    "quiet": [
        (
            Inputs(calendar=CalendarState(is_quiet=True, quiet_changes_at=LATER)),
            Cause(changes_at=LATER),
        ),
    ],
    "battery": [(Inputs(machine=MachineReading(on_battery=True)), Cause())],
    "metered": [(Inputs(machine=MachineReading(is_metered=True)), Cause())],
    "outside_window": [
        (Inputs(calendar=CalendarState(opening_changes_at=LATER)), Cause(changes_at=LATER)),
    ],
    "held_back": [
        (
            Inputs(calendar=CalendarState(holds_back=("too dear", "too dirty"))),
            Cause("too dear; too dirty"),
        ),
    ],
}
"""Of each rule: what makes it hold, and what is told."""

NONE = {
    "paused": [Inputs(), Inputs(pause=Pause("t", 10_000.0)), Inputs(pause=Pause("t", finish=True))],
    "active": [
        Inputs(),
        Inputs(sessions=(seen(idle_seconds=300.0),)),
        Inputs(sessions=(seen(idle_seconds=0.0, is_locked=True),)),
        Inputs(sessions=(seen(),)),
    ],
    "unreadable": [
        Inputs(),
        Inputs(sessions=(seen(is_locked=True),)),
        Inputs(sessions=(seen(idle_seconds=0.0),)),
        Inputs(sessions=(seen(at=NOW.elapsed - STALE_SECONDS + 1, idle_seconds=0.0),)),
    ],
    "fullscreen": [
        Inputs(),
        Inputs(sessions=(seen(fullscreen="mpv"),), idle=Idle(fullscreen="off")),
        Inputs(sessions=(seen(fullscreen="mpv", is_locked=True),)),
        Inputs(sessions=(seen(fullscreen="mpv"),), idle=Idle(ignored_programs=("mpv",))),
        Inputs(sessions=(seen(),)),
    ],
    "program": [
        Inputs(),
        Inputs(machine=MachineReading(programs=("a",)), idle=Idle(ignored_programs=("?",))),
    ],
    "foreign_gpu": [
        Inputs(),
        Inputs(foreign=(ForeignUse(0, 7, "x"),), idle=Idle(foreign_gpu="off")),
        Inputs(foreign=(ForeignUse(0, 7, "x"),), idle=Idle(ignored_programs=("X",))),
    ],
    "looking": [Inputs(), Inputs(looks_until=10_000.0)],
    "paused_to_finish": [Inputs(), Inputs(pause=Pause("t"))],
    "updating": [
        Inputs(),
        Inputs(updating=Updating("1.1.0", NOW.elapsed)),
    ],
    "hot": [
        Inputs(),
        Inputs(devices=(gpu(temperature_celsius=200.0), gpu(slowdown_celsius=1.0))),
        Inputs(devices=(gpu(temperature_celsius=87.9, slowdown_celsius=90.0),)),
    ],
    "power": [
        Inputs(devices=(gpu(power_watts=9e9),)),
        Inputs(devices=(gpu(power_watts=300.0),), protect=Protect(power_watts=300)),
    ],
    "disk": [
        Inputs(),
        Inputs(disk_free_bytes=GIB),
        Inputs(disk_free_bytes=0, protect=Protect(disk_free_gib=0)),
    ],
    "quiet": [Inputs(calendar=CalendarState(is_open=False, holds_back=("x",)))],
    "battery": [
        Inputs(),
        Inputs(machine=MachineReading(on_battery=False)),
        Inputs(machine=MachineReading(on_battery=True), idle=Idle(battery="off")),
    ],
    "metered": [
        Inputs(),
        Inputs(machine=MachineReading(is_metered=False)),
        Inputs(machine=MachineReading(is_metered=True), idle=Idle(metered="off")),
    ],
    "outside_window": [Inputs(calendar=CalendarState(is_open=True))],
    "held_back": [Inputs()],
}
"""Of each rule: what does not."""


def rule(code):
    return next(each for each in RULES if each.code == code)


def test_every_rule_is_in_these_tables_and_no_other():
    assert list(CAUSES) == list(NONE) == [each.code for each in RULES]


@pytest.mark.parametrize(
    ("code", "inputs", "cause"),
    [(code, *row) for code, rows in CAUSES.items() for row in rows],
)
def test_a_rule_holds_and_says_why(code, inputs, cause):
    assert rule(code).look(inputs, NOW, False) == cause


@pytest.mark.parametrize(
    ("code", "inputs"), [(code, inputs) for code, rows in NONE.items() for inputs in rows]
)
def test_a_rule_does_not_hold(code, inputs):
    assert rule(code).look(inputs, NOW, False) is None


def test_what_yields_stands_before_what_drains():
    states = [each.state for each in RULES]
    assert states == sorted(states, key=lambda state: state != "yield")


def test_the_owners_pause_and_what_spares_the_machine_hold_in_every_mode():
    everywhere = {each.code for each in RULES if len(each.modes) == 3}
    assert everywhere == {"paused", "paused_to_finish", "updating", "hot", "power", "disk", "quiet"}


def test_a_hot_gpu_has_to_be_cooler_by_five_kelvin():
    at = {
        celsius: rule("hot").look(
            Inputs(devices=(gpu(temperature_celsius=celsius, slowdown_celsius=90.0),)), NOW, True
        )
        for celsius in (83.0, 83.1)
    }
    assert at[83.0] is None
    assert at[83.1] is not None


def test_a_full_disk_has_to_be_emptier_by_a_tenth():
    assert rule("disk").look(Inputs(disk_free_bytes=int(1.05 * GIB)), NOW, True) is not None
    assert rule("disk").look(Inputs(disk_free_bytes=int(1.11 * GIB)), NOW, True) is None


def test_what_took_the_machine_settles_as_long_as_the_owner_says():
    inputs = Inputs(idle=Idle(return_minutes=3))
    settling = {each.code: each.settles(inputs) for each in RULES}
    assert settling["program"] == settling["battery"] == settling["active"] == 180.0
    assert settling["hot"] == settling["power"] == settling["disk"] == 60.0
    assert settling["paused"] == settling["quiet"] == settling["outside_window"] == 0.0


@pytest.mark.parametrize(
    ("mode", "code", "until"),
    [
        ("dedicated", "dedicated", LATER + 60),
        ("idle", "away", LATER + 60),
        ("scheduled", "in_window", LATER),
    ],
)
def test_why_it_serves_and_until_when_by_the_hours_that_its_mode_heeds(mode, code, until):
    calendar = CalendarState(changes_at=LATER, quiet_changes_at=LATER + 60)
    inputs = Inputs(mode=mode, calendar=calendar)
    assert serving(inputs, mode) == (code, "", until)
    pinned = replace(inputs, pinned_to="acme")
    assert serving(pinned, "dedicated") == ("pinned", "acme", LATER + 60)


def test_a_name_is_ignored_whatever_its_case():
    idle = Idle(ignored_programs=("Xorg", "gnome-*"))
    assert is_ignored("xorg", idle)
    assert is_ignored("GNOME-Shell", idle)
    assert not is_ignored("xorg2", idle)

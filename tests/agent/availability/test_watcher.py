from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

import pytest

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.kept import KeptPause, KeptWishes, Switch
from byoi_agent.availability.readings import ForeignUse, MachineReading, SessionReading
from byoi_agent.availability.view import ReclaimTimes
from byoi_agent.availability.watcher import Watcher, elapsed_seconds
from byoi_agent.config.availability import Idle, Protect
from byoi_agent.config.settings import Settings
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.telemetry.health import Health

WALL = 1_800_000_000.0
JO = "uid 1000 (jo)"


class Times:
    """Three clocks that go on together until the owner's one is set."""

    def __init__(self):
        self.now = 100.0
        self.set_by = 0.0
        self.waiting = None

    def elapsed(self):
        return self.now

    def monotonic(self):
        return self.now

    def wall(self):
        return WALL + self.now + self.set_by

    async def sleep_until(self, at):
        self.waiting = at
        await asyncio.Event().wait()


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def node(tmp_path, times, health):
    """A start of the node with these settings; `told` is what is published from then on."""

    def start(enrolled=None, **settings):
        kept = KeptWishes(tmp_path / "availability.json", health, times.wall())
        told = []
        watcher = Watcher(
            Settings(**settings),
            enrolled=enrolled,
            kept=kept,
            clock=times,
            publish=told.append,
            elapsed=times.elapsed,
            looks_seconds=0.0,
            local=lambda at: datetime.fromtimestamp(at, UTC),
        )
        told.clear()
        watcher.told = told
        watcher.kept = kept
        return watcher

    return start


def states(watcher):
    return [(view.state, view.code) for view in watcher.told]


def test_a_node_that_nobody_told_anything_serves(node):
    watcher = node()
    assert watcher.view.is_serving
    assert (watcher.view.mode, watcher.view.mode_source) == ("dedicated", "default")


# Whose mode holds.


@pytest.mark.parametrize(
    ("enrolled", "setting", "mode", "source"),
    [
        (None, None, "dedicated", "default"),
        ("idle", None, "idle", "enrolment"),
        ("idle", "scheduled", "scheduled", "setting"),
        ("a newer word", None, "dedicated", "default"),
    ],
)
def test_a_setting_is_stronger_than_the_enrolment(node, enrolled, setting, mode, source):
    watcher = node(enrolled, mode=setting)
    assert (watcher.view.mode, watcher.view.mode_source) == (mode, source)


def test_the_owners_switch_is_the_strongest_and_outlives_a_restart(node):
    node("idle", mode="scheduled").choose_mode("dedicated", JO)
    watcher = node("idle", mode="scheduled")
    assert (watcher.view.mode, watcher.view.mode_source) == ("dedicated", "switch")
    assert watcher.kept.wishes.switch == Switch(mode="dedicated", setting="scheduled", actor=JO)


def test_a_setting_that_changed_since_is_newer_than_the_switch(node):
    node(mode="scheduled").choose_mode("dedicated", JO)
    assert node(mode="idle").view.mode == "idle"
    assert node().view.mode == "dedicated"
    assert node(mode="scheduled").view.mode_source == "switch"


def test_a_reload_may_bring_a_newer_setting(node):
    watcher = node(mode="idle")
    watcher.choose_mode("dedicated", JO)
    watcher.take(Settings(mode="idle"))
    assert watcher.view.mode_source == "switch"
    watcher.take(Settings(mode="scheduled"))
    assert (watcher.view.mode, watcher.view.mode_source) == ("scheduled", "setting")


def test_a_switch_is_taken_back(node):
    watcher = node("idle")
    watcher.choose_mode("idle", JO)
    assert watcher.view.mode_source == "switch"
    watcher.choose_mode(None, JO)
    assert (watcher.view.mode, watcher.view.mode_source) == ("idle", "enrolment")
    assert watcher.told[-1] == watcher.view


# Pauses.


def test_a_pause_holds_at_once_and_its_end_is_told(node, times):
    watcher = node()
    watcher.pause(7200, finish=False, actor=JO)
    view = watcher.view
    assert (view.state, view.code, view.is_paused, view.paused_by) == ("yield", "paused", True, JO)
    assert view.paused_until == view.until == times.wall() + 7200
    assert view.since == times.wall()
    assert view.reason.startswith("paused by jo until ")
    assert watcher.told == [view]


def test_a_pause_that_lets_end_what_runs_drains(node):
    watcher = node()
    watcher.pause(None, finish=True, actor="token")
    assert (watcher.view.state, watcher.view.paused_until) == ("drain", None)


def test_an_update_is_waited_for_as_long_as_it_says_and_no_longer(node, times):
    watcher = node()
    watcher.hold_for_update("1.1.0", 60, actor=JO)
    assert (watcher.view.state, watcher.view.code) == ("drain", "updating")
    assert node().view.is_serving
    times.now += 60
    watcher.look()
    assert watcher.view.is_serving
    watcher.hold_for_update("1.1.0", 60, actor=JO)
    watcher.hold_for_update(None, 60, actor=JO)
    assert watcher.view.is_serving


def test_a_later_pause_takes_the_first_ones_place(node, times):
    watcher = node()
    watcher.pause(None, finish=False, actor=JO)
    watcher.pause(60, finish=True, actor="token")
    assert (watcher.view.paused_by, watcher.view.paused_until) == ("token", times.wall() + 60)
    assert watcher.view.state == "drain"


def test_resuming_serves_again_and_without_a_pause_changes_nothing(node):
    watcher = node()
    watcher.pause(None, finish=False, actor=JO)
    watcher.resume(JO)
    assert watcher.view.is_serving
    watcher.resume("token")
    assert states(watcher) == [("yield", "paused"), ("serve", "dedicated")]


def test_a_pause_outlives_a_restart_with_its_end(node, times):
    node().pause(600, finish=True, actor=JO)
    times.now += 500
    watcher = node()
    assert (watcher.view.state, watcher.view.paused_by) == ("drain", JO)
    assert watcher.view.paused_until == times.wall() + 100
    times.now += 100
    watcher.look()
    assert watcher.view.is_serving
    assert watcher.kept.wishes.pause is None


def test_a_pause_whose_end_has_come_meanwhile_is_over_at_the_start(node, times):
    node().pause(60, finish=False, actor=JO)
    times.now += 61
    watcher = node()
    assert watcher.view.is_serving
    assert not watcher.view.is_paused


def test_an_open_pause_outlives_a_restart(node):
    node().pause(None, finish=False, actor=JO)
    assert node().view.code == "paused"


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_setting_the_clock_neither_ends_a_pause_nor_prolongs_it(node, times, jump):
    watcher = node()
    watcher.pause(600, finish=False, actor=JO)
    times.set_by = jump
    times.now += 599
    watcher.look()
    assert watcher.view.paused_until == times.wall() + 1
    times.now += 1
    watcher.look()
    assert watcher.view.is_serving


def test_a_clock_set_back_between_two_starts_does_not_prolong_a_pause(node, times):
    node().pause(600, finish=False, actor=JO)
    times.set_by = -1e6
    assert node().view.paused_until == times.wall() + 600


async def test_where_the_clock_is_set_the_kept_end_is_set_with_it(node, times):
    watcher = node()
    watcher.pause(600, finish=False, actor=JO)
    times.set_by = 3600
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watcher.run())
        await asyncio.sleep(0)
        running.cancel()
    now = times.wall()
    kept = watcher.kept.wishes.pause
    assert kept == KeptPause(since=now, until=now + 600, actor=JO)


# What sensors say.


def test_after_a_start_sensors_have_time_to_say_who_is_there(tmp_path, times, health):
    watcher = Watcher(
        Settings(mode="idle"),
        enrolled=None,
        kept=KeptWishes(tmp_path / "availability.json", health, times.wall()),
        clock=times,
        publish=lambda _: None,
        elapsed=times.elapsed,
    )
    assert (watcher.view.state, watcher.view.code) == ("yield", "looking")
    times.now += 5
    watcher.look()
    assert watcher.view.code == "away"


def test_a_person_at_the_keyboard_takes_the_machine_and_leaves_it(node, times):
    watcher = node(mode="idle")
    assert watcher.view.code == "away"
    watcher.session(SessionReading("jo", idle_seconds=0.0))
    assert watcher.view.code == "active"
    times.now += 300
    watcher.session(SessionReading("jo", idle_seconds=300.0))
    assert watcher.view.code == "away"
    assert states(watcher)[-1] == ("serve", "away")


def test_any_person_who_is_active_counts_until_all_have_left(node, times):
    watcher = node(mode="idle", idle=Idle(return_minutes=0))
    watcher.session(SessionReading("jo", idle_seconds=0.0))
    watcher.session(SessionReading("eva", idle_seconds=9e9))
    assert watcher.view.state == "yield"
    watcher.session_gone("jo")
    assert watcher.view.code == "away"
    watcher.session_gone("jo")
    assert watcher.view.code == "away"


def test_every_sensor_is_heard(node):
    watcher = node(mode="idle", idle=Idle(return_minutes=0), protect=Protect(disk_free_gib=5))
    watcher.machine(MachineReading(on_battery=True))
    watcher.foreign((ForeignUse(0, 7, "game"),))
    watcher.foreign(())
    watcher.machine(MachineReading())
    watcher.calendar(CalendarState(is_quiet=True))
    watcher.calendar(CalendarState())
    hot = DeviceReading(0, "nvidia", "card", temperature_celsius=99, slowdown_celsius=90)
    watcher.hardware((hot,), 10 * 1024**3)
    codes = [code for _, code in states(watcher)]
    assert codes == ["battery", "foreign_gpu", "battery", "away", "quiet", "away", "hot"]


def test_a_full_disk_is_heard(node):
    watcher = node()
    watcher.hardware((), 0)
    assert watcher.view.code == "disk"


def test_a_pin_keeps_the_node_serving_and_its_withdrawal_acts_at_once(node):
    watcher = node(mode="idle")
    watcher.session(SessionReading("jo", idle_seconds=0.0))
    watcher.pin("acme")
    assert (watcher.view.code, watcher.view.pinned_to, watcher.view.mode) == (
        "pinned",
        "acme",
        "idle",
    )
    watcher.pause(None, finish=False, actor=JO)
    assert watcher.view.code == "paused"
    watcher.resume(JO)
    watcher.pin(None)
    assert watcher.view.code == "active"


def test_reclaims_are_shown_and_change_nothing_else(node):
    watcher = node()
    times = ReclaimTimes(3, 0.4, 0.9, 0.5, "game")
    watcher.reclaimed(times)
    assert watcher.told[-1].reclaims == times
    watcher.pause(None, finish=False, actor=JO)
    assert watcher.view.reclaims == times


def test_what_is_no_news_is_not_told(node):
    watcher = node()
    watcher.foreign(())
    watcher.look()
    watcher.machine(MachineReading())
    assert watcher.told == []


def test_settings_are_taken(node):
    watcher = node(mode="idle")
    watcher.foreign((ForeignUse(0, 7, "game"),))
    watcher.take(Settings(mode="idle", idle=Idle(foreign_gpu="off", return_minutes=0)))
    assert watcher.view.code == "away"


def test_since_when_it_holds_stays_while_only_words_change(node, times):
    watcher = node(mode="idle")
    watcher.foreign((ForeignUse(0, 7, "game", 1024**3),))
    since = watcher.view.since
    times.now += 5
    watcher.foreign((ForeignUse(0, 7, "game", 2 * 1024**3),))
    assert watcher.view.since == since
    assert "2.0 GiB" in watcher.view.reason


# By the clock alone, and for the log.


async def test_a_pause_ends_by_itself(node, times):
    watcher = node()
    watcher.pause(10, finish=False, actor=JO)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watcher.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert times.waiting == times.now + 10
        times.now += 10
        watcher.machine(MachineReading(on_battery=False))  # any word is news to the timer
        await asyncio.sleep(0)
        assert watcher.view.is_serving
        running.cancel()


async def test_the_timer_goes_by_what_is_foreseen_last(node, times):
    watcher = node()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watcher.run())
        for _ in range(3):
            await asyncio.sleep(0)
        assert times.waiting == times.now + 30
        watcher.pause(10, finish=False, actor=JO)
        for _ in range(12):
            await asyncio.sleep(0)
        assert times.waiting == times.now + 10
        running.cancel()


def test_each_change_is_a_line_of_the_log_and_says_who(node, caplog):
    caplog.set_level(logging.INFO)
    watcher = node()
    watcher.pause(60, finish=False, actor=JO)
    watcher.choose_mode("idle", "token")
    watcher.resume("dashboard")
    lines = [(r.message, getattr(r, "actor", None)) for r in caplog.records]
    assert lines == [
        ("paused", JO),
        ("availability changed", None),
        ("mode chosen", "token"),
        ("resumed", "dashboard"),
        ("availability changed", None),
    ]


def test_the_clock_that_counts_also_while_suspended_only_grows():
    one, other = elapsed_seconds(), elapsed_seconds()
    assert other >= one


def test_without_such_a_clock_the_monotonic_one_is_taken(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    assert elapsed_seconds() == 5.0

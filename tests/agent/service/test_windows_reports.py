from __future__ import annotations

import pytest

from byoi_agent.service.windows_reports import (
    RUNNING,
    START_PENDING,
    STOP_PENDING,
    STOPPED,
    Report,
    after,
    order_of,
    stopped,
)


def test_a_node_that_is_ready_runs_and_hears_stop_preshutdown_power_and_changes():
    ready = after(Report(), ["READY=1"])
    assert (ready.state, ready.accepted, ready.checkpoint) == (RUNNING, 0x1 | 0x8 | 0x40 | 0x100, 0)


def test_until_then_and_while_it_ends_it_counts_on():
    early = after(Report(), ["EXTEND_TIMEOUT_USEC=15000000"])
    assert (early.state, early.checkpoint, early.wait_seconds) == (START_PENDING, 2, 15.0)
    ending = after(after(Report(), ["READY=1"]), ["STOPPING=1", "EXTEND_TIMEOUT_USEC=15000000"])
    assert (ending.state, ending.accepted, ending.checkpoint) == (STOP_PENDING, 0, 2)
    assert after(ending, ["EXTEND_TIMEOUT_USEC=15000000"]).checkpoint == 3


@pytest.mark.parametrize("line", ["STATUS=serves", "WATCHDOG=1", "READY=1", "RELOADING=1"])
def test_what_is_no_news_changes_nothing(line):
    ready = after(Report(), ["READY=1"])
    assert after(ready, [line]) == ready
    assert after(ready, ["EXTEND_TIMEOUT_USEC=1"]) == ready


def test_a_reload_that_ends_while_it_stops_does_not_bring_it_back():
    ending = after(after(Report(), ["READY=1"]), ["STOPPING=1"])
    assert after(ending, ["READY=1"]) == ending
    assert after(stopped(0), ["STOPPING=1", "READY=1"]) == stopped(0)


def test_the_last_report_has_a_code_and_no_more_steps():
    assert stopped(7) == Report(STOPPED, 0, 7, 0, 0.0)


@pytest.mark.parametrize(
    ("control", "event", "order"),
    [
        (0x1, 0, "stop"),
        (0x5, 0, "stop"),
        (0xF, 0, "stop"),
        (0x6, 0, "reload"),
        (0xD, 0x12, "woke"),
        (0xD, 0x7, "woke"),
        (0xD, 0x4, None),  # about to sleep
        (0x4, 0, None),  # how do you stand?
    ],
)
def test_what_controls_ask_for(control, event, order):
    assert order_of(control, event) == order

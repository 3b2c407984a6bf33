from __future__ import annotations

import io

import pytest
from rich.console import Console

from byoi_agent.cli.status_view import duration, lines_of, memory_of, status_view
from byoi_agent.control.money import Balance
from byoi_agent.control.schema import (
    AvailabilityStatus,
    DeviceStatus,
    EngineStatus,
    EstimateStatus,
    LinkStatus,
    LogStatus,
    ReclaimStatus,
    StatusReport,
    UpdateStatus,
    UsageSum,
    WarningStatus,
)
from byoi_agent.update.told import Entry

NOW = 1_800_000_000.0
REPORT = StatusReport(
    node_id="n1",
    agent_version="0.1.0",
    pid=42,
    uptime_seconds=3700,
    key_store="file",
    key_place="in a file in /state/keys",
    is_serving=True,
    is_draining=False,
    running=1,
    waiting=2,
    slots=4,
    queue=1,
    unacknowledged_records=7,
    tokens_per_second=12.5,
    today=UsageSum(requests=1200, prompt_tokens=3, completion_tokens=4),
    link=LinkStatus(
        state="online", console_url="https://c", since=NOW - 65, last_error="link lost (1006)"
    ),
    engine=EngineStatus(state="ready", kind="llamacpp", version="1", models=("smol",), restarts=2),
    devices=(
        DeviceStatus(
            index=0,
            kind="nvidia",
            name="H200",
            memory_total_bytes=2 * 1024**3,
            memory_used_bytes=1024**3,
            utilisation_percent=50,
            power_watts=99.7,
            temperature_celsius=40.0,
        ),
    ),
    log=LogStatus(file="/state/logs/byoi.log"),
    estimates=EstimateStatus(loads=10, error=0.02, corrected_error=0.011),
)


def lines(**changes):
    return dict(lines_of(REPORT.model_copy(update=changes), NOW))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("node", "n1  serving  (pid 42, up 1 h 1 min)"),
        ("console", "https://c  online for 1 min 5 s; before that: link lost (1006)"),
        ("engine", "llamacpp 1  ready  2 restarts"),
        ("models", "smol"),
        ("requests", "1 running, 2 waiting, 4 slots, 12.5 tokens/s in the last minute"),
        ("today", "1,200 requests, 3 tokens in, 4 out"),
        ("usage", "7 records not yet booked"),
        (
            "estimates",
            "of memory 2.0% off, corrected by earlier loads 1.1% (mean of 10 loads)",
        ),
        ("device 0", "H200  1.0 of 2.0 GiB, 50 % busy, 100 W, 40 °C"),
        ("key", "in a file in /state/keys"),
        ("log", "/state/logs/byoi.log"),
    ],
)
def test_each_line_says_one_thing(name, text):
    assert lines()[name] == text


def test_a_link_that_waits_says_why_and_for_how_long():
    link = LinkStatus(
        state="waiting",
        console_url="https://c",
        reason="refused",
        since=NOW - 5,
        next_try_at=NOW + 9.5,
        last_error="refused",
    )
    told = lines(link=link, is_serving=False)
    assert told["console"] == "https://c  waiting for 5 s (refused); next try in 9 s"
    assert "not serving" in told["node"]


UNSAID = ("key_place", "today", "tokens_per_second", "log", "engine", "estimates")


def test_what_an_older_node_does_not_say_is_left_out():
    link = LinkStatus(state="x", console_url="u")
    told = lines(**dict.fromkeys(UNSAID), devices=(), link=link)
    assert told == {
        "node": "n1  serving  (pid 42, up 1 h 1 min)",
        "console": "u  x",
        "requests": "1 running, 2 waiting, 4 slots",
        "usage": "7 records not yet booked",
        "version": "0.1.0",
        "key": "in the file store",
    }


UPDATED = Entry(at=1.0, old="0.1.0", new="0.2.0", outcome="updated")
TAKEN_BACK = Entry(at=1.0, old="0.1.0", new="0.2.0", outcome="rolled back", reason="it was mute")


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (UpdateStatus(), "0.1.0"),
        (UpdateStatus(last=UPDATED), "0.1.0"),
        (UpdateStatus(underway="0.2.0"), "0.1.0  an update to 0.2.0 is under way"),
        (
            UpdateStatus(available="0.2.0"),
            "0.1.0  0.2.0 is available, install it: byoi update",
        ),
        (UpdateStatus(available="0.2.0", held="it waits"), "0.1.0  0.2.0 is available, it waits"),
        (UpdateStatus(trouble="offline"), "0.1.0  newer ones unknown: offline"),
        (UpdateStatus(last=TAKEN_BACK), "0.1.0  0.2.0 rolled back: it was mute"),
    ],
)
def test_a_newer_version_and_an_update_that_failed_are_told(update, text):
    assert lines(update=update)["version"] == text


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (LogStatus(unit="byoi.service"), "in the journal of byoi.service"),
        (LogStatus(), "on standard error alone"),
    ],
)
def test_where_the_log_is(log, text):
    assert lines(log=log)["log"] == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_length_of_time_has_two_units(seconds, text):
    assert duration(seconds) == text


def test_what_needs_the_owner_comes_with_its_mend_and_no_markup_is_believed():
    warning = WarningStatus(name="x", text="[red]full[/red]", mend="make room")
    out = io.StringIO()
    report = REPORT.model_copy(update={"warnings": (warning,)})
    Console(file=out, width=120).print(status_view(report, NOW))
    assert "warning  [red]full[/red]\n         make room" in out.getvalue()


def test_what_a_console_says_does_not_steer_the_terminal():
    said = LinkStatus(
        state="waiting", console_url="https://c", reason="\x1b]0;x\x07\x9b31mbye\nnode"
    )
    shown = io.StringIO()
    Console(file=shown, width=120).print(status_view(REPORT.model_copy(update={"link": said}), NOW))
    (line,) = (line for line in shown.getvalue().splitlines() if "waiting (" in line)
    assert "bye\N{REPLACEMENT CHARACTER}node" in line
    assert line.isprintable()


def test_memory_that_is_not_told_is_a_dash_and_no_zero():
    gib = 1024**3
    assert memory_of(None, None) == "-"
    assert memory_of(gib, None) == "1.0 GiB"
    assert memory_of(None, gib) == "- of 1.0 GiB"
    assert memory_of(0, gib) == "0.0 of 1.0 GiB"


BALANCE = Balance(
    earned={"EUR": 1.5}, energy_cost={"EUR": 0.5}, idle_cost={"EUR": 0.25}, net={"EUR": 0.75}
)


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        (BALANCE, "earned 1.50 EUR, energy 0.50 EUR, idle 0.25 EUR, net 0.75 EUR"),
        (Balance(), "earned nothing, no net yet"),
        (
            Balance(earned={"EUR": 1.5}, net_reason="no net: no energy was measured"),
            "earned 1.50 EUR, no net: no energy was measured",
        ),
    ],
)
def test_todays_money_is_a_line_where_there_is_any(balance, text):
    assert lines(today_balance=balance)["money"] == text
    assert "money" not in lines()


def test_of_several_models_each_has_a_line():
    small = EngineStatus(
        state="ready",
        kind="llamacpp",
        key="small",
        priority=80,
        memory_bytes=3 * 1024**3,
        load_seconds=2.5,
        used_at=NOW - 65,
        since=NOW - 120,
    )
    large = EngineStatus(
        state="failed", kind="vllm", key="large", priority=50, reason="it is too large"
    )
    shown = lines(engines=(small, large))
    assert (
        shown["small"]
        == "ready for 2 min 0 s, priority 80, 3.0 GiB, loads in 2.5 s, used 1 min 5 s ago"
    )
    assert shown["large"] == "failed (it is too large), priority 50, not used yet"
    assert "small" not in lines(engines=(small,))


PAUSED = AvailabilityStatus(
    mode="idle",
    state="yield",
    code="paused",
    reason="paused by jo until 18:30",
    is_paused=True,
    reclaims=ReclaimStatus(
        count=3, p50_seconds=0.41, p99_seconds=1.2, last_seconds=0.5, last_cause="game"
    ),
)


def test_a_paused_node_says_so_and_how_fast_it_gave_the_machine_back():
    report = REPORT.model_copy(update={"availability": PAUSED, "is_serving": False})
    lines = dict(lines_of(report, NOW))
    assert lines["node"].startswith("n1  paused ")
    assert lines["mode"] == "idle  paused by jo until 18:30"
    assert lines["reclaims"] == (
        "3, half within 0.41 s, 99 % within 1.2 s, the last one 0.5 s (game)"
    )


def test_what_only_an_attached_server_says_is_told_as_that():
    told = PAUSED.reclaims.model_copy(update={"last_is_told": True})
    paused = PAUSED.model_copy(update={"reclaims": told})
    shown = dict(lines_of(REPORT.model_copy(update={"availability": paused}), NOW))
    assert shown["reclaims"].endswith("0.5 s (game, as the attached server says)")


def test_a_node_that_was_never_taken_back_says_nothing_of_it():
    serving = AvailabilityStatus(mode="dedicated", state="serve", code="dedicated", reason="always")
    lines = dict(lines_of(REPORT.model_copy(update={"availability": serving}), NOW))
    assert lines["mode"] == "dedicated  always"
    assert "reclaims" not in lines


def test_figures_that_are_not_known_are_left_out():
    once = PAUSED.model_copy(update={"reclaims": ReclaimStatus(count=1, last_seconds=0.5)})
    lines = dict(lines_of(REPORT.model_copy(update={"availability": once}), NOW))
    assert lines["reclaims"] == "1, the last one 0.5 s"


def test_estimates_are_told_of_once_there_was_a_load():
    assert "estimates" not in lines(estimates=None)
    one = EstimateStatus(loads=1, error=0.5, corrected_error=0.5)
    assert lines(estimates=one)["estimates"].endswith("(mean of 1 load)")

"""Steps for systemd, and what it is understood to say."""

from __future__ import annotations

import grp
from dataclasses import replace
from pathlib import Path

import pytest

from byoi_agent.service import linux
from byoi_agent.service.doing import carry_out
from byoi_agent.service.launcher import ServiceError
from byoi_agent.service.units import AGENT

RUNNING = """\
MainPID=42
NRestarts=3
Result=success
LoadState=loaded
ActiveState=active
StatusText=serves
FragmentPath=/u/byoi-agent.service
UnitFileState=enabled
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return linux.UserService(
        Path("/opt/byoi/bin/byoi"), tmp_path / "units", tmp_path / "identity.json", None
    )


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """The system's, below a folder of the test's own."""
    recorded = []
    monkeypatch.setattr(linux, "record_service", recorded.append)
    service = linux.SystemService(Path("/opt/byoi/bin/byoi"), root=tmp_path / "root")
    return service, recorded


def test_one_user_gets_a_unit_that_is_enabled_and_started(own, programs, tmp_path):
    programs.stand_in("systemctl")
    carry_out(own.install(start=True))
    watched = (tmp_path / "units/byoi-agent.path").read_text()
    assert f"PathChanged={tmp_path}/identity.json\n" in watched
    assert (tmp_path / "units" / AGENT).read_text().count("/opt/byoi/bin/byoi run") == 1
    assert programs.calls == [
        "systemctl --version",
        "systemctl --user daemon-reload",
        f"systemctl --user enable {AGENT} byoi-agent.path",
        f"systemctl --user restart byoi-agent.path {AGENT}",
    ]


def test_an_installation_of_ones_own_is_kept_up_to_date_by_timers(own, programs, tmp_path):
    programs.stand_in("systemctl")
    own = replace(own, updates=tmp_path / "my app/update")
    carry_out(own.install(start=False))
    timers = "byoi-update.timer byoi-update-resume.timer"
    assert programs.calls == [
        "systemctl --version",
        "systemctl --user daemon-reload",
        f"systemctl --user enable {AGENT} byoi-agent.path {timers}",
        "systemctl --user start byoi-update.timer",
    ]
    update = (tmp_path / "units/byoi-update.service").read_text()
    assert f'"{tmp_path}/my app/update" /opt/byoi/bin/byoi\n' in update
    resume = (tmp_path / "units/byoi-update-resume.timer").read_text()
    assert f"ConditionPathExists={tmp_path}/my app/update/journal.json\n" in resume
    carry_out(own.uninstall(purge=False))
    assert f"disable --now byoi-agent.path {AGENT} {timers}" in " ".join(programs.calls)
    assert list((tmp_path / "units").iterdir()) == []


@pytest.mark.parametrize("owners", [(), ("override.conf",)])
def test_a_users_node_that_ends_again_and_again_is_tried_less_often_where_systemd_can(
    own, programs, tmp_path, owners
):
    programs.stand_in("systemctl", 'if [ "$1" = --version ]; then echo "systemd 254 (254.1)"; fi')
    carry_out(own.install(start=False))
    folder = tmp_path / f"units/{AGENT}.d"
    assert "RestartMaxDelaySec=5min" in (folder / "restart-steps.conf").read_text()
    for name in owners:
        (folder / name).touch()
    carry_out(own.uninstall(purge=False))
    assert [file.name for file in folder.glob("*")] == list(owners)
    assert folder.exists() == bool(owners)


def test_a_second_time_writes_nothing(own, programs):
    programs.stand_in("systemctl")
    carry_out(own.install(start=False))
    told = []
    carry_out(own.install(start=False), told.append)
    assert [type(step).__name__ for step in told] == ["Run", "Run"]


def test_a_user_without_a_manager_is_told_what_to_do(own, programs):
    programs.stand_in("systemctl", 'echo "Failed to connect to bus" >&2; exit 1')
    with pytest.raises(ServiceError, match=r"Failed to connect to bus; .*enable-linger"):
        carry_out(own.install(start=True))


def test_taking_it_away_leaves_no_unit_also_where_nothing_runs(own, programs, tmp_path):
    programs.stand_in("systemctl")
    carry_out(own.install(start=False))
    programs.stand_in("systemctl", "exit 5")
    carry_out(own.uninstall(purge=False))
    assert list((tmp_path / "units").iterdir()) == []
    carry_out(own.uninstall(purge=False))


def test_what_systemd_says_of_a_running_node(own, programs):
    programs.stand_in("systemctl", f"cat <<'END'\n{RUNNING}END")
    found = own.status()
    assert (found.state, found.pid, found.restarts, found.words) == ("running", 42, 3, "serves")
    assert found.is_installed
    assert found.is_enabled


def test_what_systemd_says_of_no_node(own, programs):
    programs.stand_in("systemctl", "echo LoadState=not-found; echo ActiveState=inactive")
    found = own.status()
    assert (found.is_installed, found.is_enabled, found.state) == (False, False, "stopped")


def test_a_node_that_failed_says_by_what(own, programs):
    programs.stand_in(
        "systemctl", "echo LoadState=loaded; echo ActiveState=failed; echo Result=oom"
    )
    assert own.status().words == "ended by oom"


def test_whoever_is_not_enrolled_or_does_not_linger_gets_a_hint(own, tmp_path):
    assert "byoi enroll" in own.hints()[0]
    own.record.touch()
    assert not any("byoi enroll" in hint for hint in own.hints())


def test_the_machine_gets_account_folders_and_units_and_the_word_of_it(
    machines, programs, tmp_path
):
    service, recorded = machines
    for name in ("systemd-sysusers", "systemd-tmpfiles"):
        programs.stand_in(name)
    programs.stand_in("systemctl", 'if [ "$1" = --version ]; then echo "systemd 257 (257)"; fi')
    carry_out(service.install(start=True))
    units = tmp_path / "root/etc/systemd/system"
    assert {file.name for file in units.iterdir()} == {
        AGENT,
        f"{AGENT}.d",
        "byoi-agent.path",
        "byoi-enroll.service",
        "byoi-update.service",
        "byoi-update.timer",
        "byoi-update-resume.timer",
    }
    assert (tmp_path / "root/usr/local/bin/byoi").readlink() == Path("/opt/byoi/bin/byoi")
    assert recorded == [linux.PLACES]
    assert programs.calls[-2:] == [
        "systemctl start byoi-update.timer",
        f"systemctl start {AGENT} byoi-agent.path",
    ]
    # The account is there before the folders that are to be its own.
    assert [call.split()[0] for call in programs.calls[1:3]] == [
        "systemd-sysusers",
        "systemd-tmpfiles",
    ]


def test_the_account_joins_the_groups_of_cards_that_are_here_and_makes_none(
    machines, programs, monkeypatch, tmp_path
):
    service, _ = machines
    for name in ("systemd-sysusers", "systemd-tmpfiles", "systemctl"):
        programs.stand_in(name)
    here = [grp.struct_group((name, "x", 1, [])) for name in ("root", "video")]
    monkeypatch.setattr(grp, "getgrall", lambda: here)
    carry_out(service.install(start=False))
    told = (tmp_path / "root/etc/sysusers.d/byoi.conf").read_text().splitlines()
    assert [line.split()[:3] for line in told if not line.startswith("#")] == [
        ["u", "byoi", "-"],
        ["m", "byoi", "video"],
    ]


@pytest.mark.parametrize("purge", [False, True])
def test_the_machine_keeps_what_was_earned_unless_it_is_purged(machines, programs, tmp_path, purge):
    service, recorded = machines
    for name in ("systemd-sysusers", "systemd-tmpfiles", "userdel", "groupdel"):
        programs.stand_in(name)
    programs.stand_in("systemctl", 'if [ "$1" = --version ]; then echo "systemd 252 (252)"; fi')
    carry_out(service.install(start=True))
    state = tmp_path / "root/var/lib/byoi/usage.sqlite3"
    state.parent.mkdir(parents=True)
    state.touch()
    others = [
        tmp_path / "root/etc" / name
        for name in (
            "credstore.encrypted/byoi.device-key",
            "credstore/byoi.join-token",
            "systemd/system/byoi-enroll.service.d/proxy.conf",
        )
    ]
    for file in others:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    carry_out(service.uninstall(purge=purge))
    assert recorded[-1] is None
    assert state.exists() is not purge
    assert ("userdel byoi" in programs.calls) is purge
    left = [file for file in (tmp_path / "root").rglob("*") if file.is_file() and file != state]
    assert sorted(left) == ([] if purge else sorted(others))

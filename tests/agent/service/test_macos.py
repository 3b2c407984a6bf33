"""Steps for launchd, and what it is understood to say."""

from __future__ import annotations

import grp
import os
import plistlib
import pwd
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.service import macos
from byoi_agent.service.doing import carry_out
from byoi_agent.service.launcher import ServiceError
from byoi_agent.service.plists import NODE, UPDATE

TARGET = f"gui/{os.getuid()}/{NODE}"
RUNNING = """\
gui/501/org.byoi.agent = {
\tactive count = 1
\tpath = /Users/jo/Library/LaunchAgents/org.byoi.agent.plist
\tstate = running

\tprogram = /opt/byoi/bin/byoi
\tminimum runtime = 10
\truns = 3
\tpid = 812
\tlast exit code = 1
}
"""
ENDED = "x = {\n\tstate = not running\n\truns = 1\n\tlast exit code = 1\n}\n"
STOPPED = "x = {\n\tstate = not running\n\truns = 1\n\tlast exit code = 0\n}\n"


@pytest.fixture
def own(tmp_path):
    library = tmp_path / "Library"
    return macos.UserService(
        Path("/opt/byoi/bin/byoi"),
        library / "LaunchAgents",
        library / "Logs/byoi/service.log",
        tmp_path / "identity.json",
        None,
    )


def test_one_user_gets_an_agent_that_is_loaded(own, programs, tmp_path):
    programs.stand_in("launchctl")
    carry_out(own.install(start=True))
    file = tmp_path / "Library/LaunchAgents" / f"{NODE}.plist"
    assert plistlib.loads(file.read_bytes())["Label"] == NODE
    assert programs.calls == [
        f"launchctl enable {TARGET}",
        f"launchctl bootout {TARGET}",
        f"launchctl bootstrap gui/{os.getuid()} {file}",
    ]
    assert (tmp_path / "Library/Logs/byoi").is_dir()


def test_an_installation_of_ones_own_looks_for_updates_every_hour(own, programs, tmp_path):
    programs.stand_in("launchctl")
    own = replace(own, updates=tmp_path / "app/update")
    carry_out(own.install(start=False))
    file = tmp_path / "Library/LaunchAgents" / f"{UPDATE}.plist"
    assert f"launchctl bootstrap gui/{os.getuid()} {file}" in programs.calls
    told = plistlib.loads(file.read_bytes())
    assert (told["StartInterval"], told.get("RunAtLoad", False)) == (3600, False)
    said = subprocess.run(
        [*told["ProgramArguments"][:4], "/bin/echo"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "update --unattended\n"
    keeper = tmp_path / "app/update/keeper/bin/python"
    keeper.parent.mkdir(parents=True)
    keeper.symlink_to("/bin/echo")
    said = subprocess.run(told["ProgramArguments"], capture_output=True, text=True, check=True)
    assert said.stdout == "-m byoi_agent.cli.main update --unattended\n"
    carry_out(own.uninstall(purge=False))
    assert f"launchctl bootout gui/{os.getuid()}/{UPDATE}" in programs.calls
    assert list(file.parent.iterdir()) == []


def test_a_session_without_a_desktop_is_told_so(own, programs):
    programs.stand_in(
        "launchctl",
        '[ "$1" != bootstrap ] || { echo "Bootstrap failed: 125: Domain" >&2; exit 125; }',
    )
    with pytest.raises(ServiceError, match=r"125: Domain; sign in at the Mac itself"):
        carry_out(own.install(start=True))


def test_taking_it_away_unloads_it_first_and_may_be_done_twice(own, programs, tmp_path):
    programs.stand_in("launchctl")
    carry_out(own.install(start=False))
    programs.stand_in("launchctl", "exit 3")
    carry_out(own.uninstall(purge=False))
    carry_out(own.uninstall(purge=False))
    assert list((tmp_path / "Library/LaunchAgents").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "state", "pid", "words"),
    [
        (RUNNING, "running", 812, None),
        (ENDED, "failed", None, "ended with 1"),
        (STOPPED, "stopped", None, None),
        ("", "stopped", None, None),
    ],
)
def test_what_launchd_says_of_a_node(own, programs, said, state, pid, words):
    programs.stand_in("launchctl", f"[ $1 = print ] && cat <<'END'\n{said}END")
    found = own.status()
    assert (found.state, found.pid, found.words) == (state, pid, words)
    assert found.is_installed is False


def test_a_node_that_was_disabled_does_not_start_by_itself(own, programs):
    programs.stand_in("launchctl")
    carry_out(own.install(start=False))
    assert own.status().is_enabled
    programs.stand_in("launchctl", f"""[ $1 = print-disabled ] && echo '\t"{NODE}" => disabled'""")
    assert not own.status().is_enabled


@pytest.fixture
def accounts(monkeypatch):
    """Accounts of this test's own."""
    users: list[SimpleNamespace] = []
    groups: list[SimpleNamespace] = []
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    monkeypatch.setattr(grp, "getgrall", lambda: groups)
    return users, groups


def test_the_daemon_gets_an_account_whose_number_nobody_has(
    accounts, programs, tmp_path, monkeypatch
):
    recorded = []
    monkeypatch.setattr(macos, "record_service", recorded.append)
    users, groups = accounts
    users.append(SimpleNamespace(pw_name="_other", pw_uid=499))
    groups.append(SimpleNamespace(gr_name="_another", gr_gid=498))
    for name in ("dscl", "launchctl", "install", "sh"):
        programs.stand_in(name)
    carry_out(macos.SystemService(Path("/opt/byoi/bin/byoi"), tmp_path).install(start=True))
    assert "dscl . -create /Users/_byoi UniqueID 497" in programs.calls
    assert "dscl . -create /Groups/_byoi PrimaryGroupID 497" in programs.calls
    folders = [call for call in programs.calls if call.startswith("install -d -o _byoi")]
    assert any("-m 700 /var/db/byoi/state" in call for call in folders)
    assert recorded == [macos.PLACES]
    assert (tmp_path / f"Library/LaunchDaemons/{NODE}.plist").stat().st_mode & 0o777 == 0o644


def test_the_account_that_is_there_keeps_its_number(accounts):
    accounts[0].append(SimpleNamespace(pw_name="_byoi", pw_uid=444))
    steps = macos.SystemService(Path("/b")).install(start=False)
    assert any("444" in step.argv for step in steps if hasattr(step, "argv"))


def test_a_purge_takes_account_and_folders_too(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(macos, "record_service", lambda _: None)
    for name in ("dscl", "launchctl"):
        programs.stand_in(name)
    state = tmp_path / "var/db/byoi/state/usage.sqlite3"
    state.parent.mkdir(parents=True)
    state.touch()
    service = macos.SystemService(Path("/b"), tmp_path)
    carry_out(service.uninstall(purge=False))
    assert state.exists()
    carry_out(service.uninstall(purge=True))
    assert not state.exists()
    assert programs.calls[-2:] == [
        "dscl . -delete /Users/_byoi",
        "dscl . -delete /Groups/_byoi",
    ]

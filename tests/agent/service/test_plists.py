"""What launchd is told, by the rules of launchd.plist(5)."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from byoi_agent.service.macos import PLACES
from byoi_agent.service.plists import agent_plist, daemon_plist, session_plist, update_plist

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "installers" / "macos" / "launchd"
PROGRAM = Path("/opt/byoi/bin/byoi")
LOG = Path("/l/byoi.log")
TYPES = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "StartInterval": int,
    "KeepAlive": dict,
    "WatchPaths": list,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
    "Umask": int,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "UserName": str,
    "GroupName": str,
    "InitGroups": bool,
    "WorkingDirectory": str,
    "EnvironmentVariables": dict,
    "LimitLoadToSessionType": str | list,
}
TEXTS = {
    "daemon": daemon_plist(PROGRAM, PLACES, LOG),
    "agent": agent_plist(PROGRAM, Path("/s/identity.json"), LOG, None),
    "session": session_plist(PROGRAM),
    "update": update_plist(PROGRAM, Path("/opt/byoi/update")),
}


def read(text: str) -> dict:
    return plistlib.loads(text.encode())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_key_is_one_that_launchd_knows_and_of_its_type(text):
    for key, value in read(text).items():
        assert isinstance(value, TYPES[key]), key


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_another_reader_of_property_lists_takes_them_too(text, tmp_path):
    if (plistutil := shutil.which("plistutil")) is None:
        pytest.skip("needs plistutil: apt install libplist-utils")
    file = tmp_path / "x.plist"
    file.write_text(text)
    done = subprocess.run([plistutil, "-i", file, "-o", tmp_path / "binary"], check=False)
    assert done.returncode == 0
    assert plistlib.loads((tmp_path / "binary").read_bytes()) == read(text)


def test_a_node_is_started_again_when_it_fails_but_not_when_it_ends_as_it_should():
    facts = read(TEXTS["daemon"])
    assert facts["KeepAlive"] == {"SuccessfulExit": False}
    # `service run` turns 78 into 0: see its test.
    assert facts["ProgramArguments"] == [str(PROGRAM), "service", "run"]
    assert facts["ExitTimeOut"] > 30  # drain_seconds


def test_an_enrolment_starts_it():
    assert read(TEXTS["daemon"])["WatchPaths"] == ["/var/db/byoi/state/identity.json"]
    assert read(TEXTS["agent"])["WatchPaths"] == ["/s/identity.json"]


def test_engines_are_not_kept_on_the_slow_cores():
    assert read(TEXTS["daemon"])["ProcessType"] == "Standard"
    assert read(TEXTS["agent"])["ProcessType"] == "Standard"


def test_the_daemon_has_an_account_and_folders_of_its_own_and_no_core_dumps():
    facts = read(TEXTS["daemon"])
    assert (facts["UserName"], facts["GroupName"]) == ("_byoi", "_byoi")
    assert facts["EnvironmentVariables"]["STATE_DIRECTORY"] == facts["WorkingDirectory"]
    assert facts["SoftResourceLimits"]["Core"] == facts["HardResourceLimits"]["Core"] == 0
    assert facts["Umask"] == 0o077


def test_a_user_names_the_data_folder():
    facts = read(agent_plist(PROGRAM, Path("/d/identity.json"), LOG, Path("/d & d")))
    assert facts["ProgramArguments"][-2:] == ["--data-dir", "/d & d"]


def test_what_lies_in_the_tree_is_what_the_agent_writes(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "installers" / "macos")
    monkeypatch.syspath_prepend(ROOT / "installers")
    try:
        import build as builder

        written = builder.property_lists()
    finally:
        sys.modules.pop("build", None)
    shipped = {file.name: file.read_text() for file in SHIPPED.iterdir()}
    assert shipped == written, "python installers/macos/build.py --launchd"

from __future__ import annotations

import os
from pathlib import Path

import pytest

from byoi_agent.telemetry import log_place as module
from byoi_agent.telemetry.log_place import LogPlace, log_place, unit_in

USUAL = Path("/state/logs/byoi.log")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("auto", LogPlace(USUAL)),
        ("none", LogPlace()),
        ("/var/log/byoi.log", LogPlace(Path("/var/log/byoi.log"))),
        ("here.log", LogPlace(Path.cwd() / "here.log")),
    ],
)
def test_the_owner_says_where(setting, place):
    assert log_place(setting, USUAL, {}) == place


def test_where_standard_error_is_the_journals_there_is_no_file(monkeypatch, tmp_path):
    facts = os.fstat(2)
    environment = {"JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}"}
    monkeypatch.setattr(module, "_CGROUP", tmp_path / "cgroup")
    assert log_place("auto", USUAL, environment) == LogPlace()
    (tmp_path / "cgroup").write_text("0::/system.slice/byoi.service\n")
    assert log_place("auto", USUAL, environment) == LogPlace(unit="byoi.service")


def test_a_variable_that_was_inherited_is_not_believed():
    assert log_place("auto", USUAL, {"JOURNAL_STREAM": "1:2"}).file == USUAL


@pytest.mark.parametrize(
    ("cgroups", "place"),
    [
        ("0::/system.slice/byoi.service", LogPlace(unit="byoi.service")),
        (
            "4:memory:/x\n1:name=systemd:/system.slice/byoi.service\n",
            LogPlace(unit="byoi.service"),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/byoi.service",
            LogPlace(unit="byoi.service", is_users=True),
        ),
        ("0::/init.scope", LogPlace()),
        ("", LogPlace()),
    ],
)
def test_the_unit_is_read_from_the_control_group(cgroups, place):
    assert unit_in(cgroups) == place

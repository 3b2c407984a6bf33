"""Which service is meant, and whose."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.config.installation import Installation
from byoi_agent.config.paths import Paths
from byoi_agent.errors import ConfigError
from byoi_agent.service import choice, linux, macos, windows
from byoi_agent.service.choice import launcher_for, meant_scope, program_of

PATHS = Paths(Path("/s"), Path("/c"), Path("/r"))


@pytest.mark.parametrize(
    ("platform", "scope", "kind"),
    [
        ("linux", "user", linux.UserService),
        ("linux", "system", linux.SystemService),
        ("darwin", "user", macos.UserService),
        ("darwin", "system", macos.SystemService),
    ],
)
def test_each_system_has_one_for_a_user_and_one_for_the_machine(platform, scope, kind):
    assert isinstance(launcher_for(scope, PATHS, {"HOME": "/h"}, platform=platform), kind)


def test_units_lie_where_the_user_keeps_settings():
    found = launcher_for("user", PATHS, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, platform="linux")
    assert found.units == Path("/x/systemd/user")
    assert found.record == Path("/s/identity.json")


@pytest.mark.parametrize(
    ("changes", "data_dir", "is_kept_up_to_date"),
    [
        ({}, None, True),
        ({}, Path("/d"), False),
        ({"kind": "source"}, None, False),
        ({"service": linux.PLACES}, None, False),
        ({"root": Path("/nowhere")}, None, False),
    ],
)
def test_only_an_installation_of_ones_own_is_kept_up_to_date(
    monkeypatch, tmp_path, changes, data_dir, is_kept_up_to_date
):
    facts = {"kind": "versions", "root": tmp_path, **changes}
    monkeypatch.setattr(choice, "read_installation", lambda: Installation(**facts))
    found = launcher_for("user", PATHS, {"HOME": "/h"}, data_dir=data_dir, platform="linux")
    assert found.updates == (tmp_path / "update" if is_kept_up_to_date else None)


def test_a_system_that_is_not_known_is_told_what_to_start():
    with pytest.raises(ConfigError, match=r"sunos .* have it start: .*/bin/byoi run"):
        launcher_for("user", PATHS, {}, platform="sunos")


def test_the_machines_service_is_meant_where_byoi_is_one():
    assert meant_scope(Installation()) == "user"
    assert meant_scope(Installation(kind="deb", service=linux.PLACES)) == "system"


def test_the_program_keeps_its_name_when_another_version_comes():
    assert program_of(Installation(kind="deb")) == Path("/usr/bin/byoi")
    versions = Installation(kind="versions", root=Path("/opt/byoi"))
    assert program_of(versions) == Path("/opt/byoi/bin/byoi")
    assert program_of(Installation(), Path("/home/jo/.venv")) == Path("/home/jo/.venv/bin/byoi")


@pytest.fixture
def on_windows(monkeypatch):
    """This system is Windows, whose calls are stand-ins."""
    calls = SimpleNamespace(SystemRegistration=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "byoi_agent.service.windows_calls", calls)
    monkeypatch.setattr(sys, "platform", "win32")


def test_windows_has_one_for_the_machine_alone(on_windows):
    found = launcher_for("system", PATHS, {"HOME": "/h"}, platform="win32")
    assert isinstance(found, windows.SystemService)
    with pytest.raises(ConfigError, match="byoi service install --system"):
        launcher_for("user", PATHS, {"HOME": "/h"}, platform="win32")

from __future__ import annotations

import json
import tarfile
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from byoi_agent.cli import doctor as module
from byoi_agent.control.client import ControlClient
from byoi_agent.control.config_words import ConfigReport, SettingStatus
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.log_words import LogLine, LogLines
from byoi_agent.control.schema import LinkStatus, StatusReport
from byoi_agent.doctor.finding import Report, failed, ok
from byoi_agent.errors import AgentError

STATUS = StatusReport(
    node_id="n1",
    agent_version="1",
    pid=42,
    uptime_seconds=3,
    key_store="file",
    is_serving=True,
    is_draining=False,
    running=0,
    waiting=0,
    slots=1,
    queue=0,
    unacknowledged_records=0,
    link=LinkStatus(state="online", console_url="http://127.0.0.1:1"),
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name, folder in (("DATA", "d"), ("CACHE", "c"), ("RUNTIME", "r")):
        monkeypatch.setenv(f"BYOI_{name}_DIR", str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("home")
def test_a_bare_machine_is_told_what_to_do_next(byoi):
    code, out, _ = byoi("doctor")
    assert code == 0
    assert "byoi enroll --console URL" in out
    assert "to be looked at" in out


@pytest.mark.usefixtures("home")
def test_programs_get_each_finding(byoi):
    code, out, _ = byoi("doctor", "--json")
    checks = json.loads(out)["checks"]
    assert code == 0
    assert {"name", "title", "state", "text", "mend", "can_fix"} <= checks[0].keys()


def test_what_keeps_a_node_from_serving_is_exit_code_1_and_fixed_where_it_can_be(byoi, home):
    (home / "d").mkdir(mode=0o755)
    (home / "d").chmod(0o755)
    code, out, _ = byoi("doctor")
    assert code == 1
    assert "byoi doctor --fix" in out
    code, out, _ = byoi("doctor", "--fix")
    assert code == 0
    assert "taken from others" in out
    assert (home / "d").stat().st_mode & 0o777 == 0o700


def test_a_bundle_is_one_private_file_and_its_place_is_told(byoi, home):
    code, out, _ = byoi("doctor", "--json", "--bundle", "-o", home / "b.tar.gz")
    assert code == 0
    assert json.loads(out)["bundle"] == str(home / "b.tar.gz")
    assert (home / "b.tar.gz").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("home")
def test_a_bundle_that_cannot_be_written_is_a_sentence(byoi):
    code, _, err = byoi("doctor", "--bundle", "-o", "/no/such/folder/b.tar.gz")
    assert code == 78
    assert "/no/such/folder" in err


@pytest.fixture
def elsewhere(monkeypatch, home):
    """A node of other folders; what it finds, and what it was asked, is for the test to say."""
    node = SimpleNamespace(
        found=Report(checks=(failed("folders", "Folders", "too open", "byoi doctor --fix"),)),
        state_dir=None,
        lines=LogLines(lines=(LogLine(time="", level="info", logger="x", event="from memory"),)),
    )
    client = ControlClient(socket_path="/x")
    monkeypatch.setattr(
        module,
        "find",
        lambda *_, **__: Instances((Instance(client, node.state_dir),), "machine"),
    )
    monkeypatch.setattr(ControlClient, "status", lambda _: STATUS)
    monkeypatch.setattr(ControlClient, "logs", lambda *_: node.lines)

    def doctor(_client):
        if isinstance(node.found, Exception):
            raise node.found
        return node.found

    monkeypatch.setattr(ControlClient, "doctor", doctor)
    return node


@pytest.mark.usefixtures("elsewhere")
def test_a_node_of_another_account_tells_how_it_looks_from_there(byoi):
    code, out, _ = byoi("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["folders"]["text"] == "too open"
    assert checks.keys() == {"folders", "account"}  # nothing of this user's own


def test_a_running_node_mends_its_own_and_this_user_s_folders_are_left(
    byoi, elsewhere, home, monkeypatch
):
    (home / "d").mkdir(mode=0o755)
    (home / "d").chmod(0o755)
    fixable = failed("folders", "Folders", "too open", "byoi doctor --fix", can_fix=True)
    elsewhere.found = Report(checks=(fixable,))
    mended = Report(checks=(ok("folders", "Folders", "rights of 2 files taken from others"),))
    monkeypatch.setattr(ControlClient, "mend", lambda _: mended)
    code, out, _ = byoi("doctor", "--fix")
    assert code == 0
    assert "rights of 2 files" in out
    assert "The node's account" in out
    assert (home / "d").stat().st_mode & 0o777 == 0o755


def test_a_node_that_mends_nothing_says_so(byoi, elsewhere, monkeypatch):
    fixable = failed("folders", "Folders", "too open", "byoi doctor --fix", can_fix=True)
    elsewhere.found = Report(checks=(fixable,))

    def mend(_):
        raise AgentError("the node refused: 404")

    monkeypatch.setattr(ControlClient, "mend", mend)
    code, out, err = byoi("doctor", "--fix")
    assert code == 1
    assert "nothing was mended" in err
    assert "too open" in out


def test_a_node_that_cannot_tell_leaves_the_look_from_here(byoi, elsewhere):
    elsewhere.found = AgentError("the node refused: 404")
    _, out, err = byoi("doctor")
    assert "how it looks from here" in err
    assert "Folders" in out


@pytest.mark.usefixtures("elsewhere")
def test_the_bundle_of_a_node_whose_log_is_not_a_file_has_its_last_lines(byoi, home):
    byoi("doctor", "--bundle", "-o", home / "b.tar.gz")
    with tarfile.open(home / "b.tar.gz") as archive:
        log = archive.extractfile("byoi-doctor/log.txt").read()
    assert b"from memory" in log


@pytest.mark.usefixtures("elsewhere")
def test_the_bundle_has_the_settings_that_the_asked_node_holds(byoi, home, monkeypatch):
    def told(_client):
        slots = SettingStatus(name="slots", value=4, source="file", changes_at="reload")
        name = SettingStatus(
            name="name",
            value="new",
            source="file",
            changes_at="restart",
            holds="rig",
            is_pending=True,
        )
        return ConfigReport(file="/etc/byoi/config.toml", settings=(slots, name))

    def settings():
        _, _, err = byoi("doctor", "--bundle", "-o", home / "b.tar.gz")
        with tarfile.open(home / "b.tar.gz") as archive:
            return json.load(archive.extractfile("byoi-doctor/settings.json")), err

    monkeypatch.setattr(ControlClient, "config", told)
    assert settings()[0] == {"slots": 4, "name": "rig"}
    monkeypatch.setattr(ControlClient, "config", Mock(side_effect=AgentError("404")))
    ours, err = settings()
    assert "console" in ours
    assert "404; the archive has this user's settings instead" in err

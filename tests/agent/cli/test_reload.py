from __future__ import annotations

import json

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import ReloadReport
from byoi_agent.errors import ConfigError


@pytest.fixture
def answering(monkeypatch):
    """A running node that answers so to a reload."""

    def answer(report):
        def reload(_):
            if isinstance(report, Exception):
                raise report
            return report

        node = Instance(ControlClient(socket_path="/x"))
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances((node,), "data_dir"))
        monkeypatch.setattr(ControlClient, "reload", reload)

    return answer


def test_what_changed_and_what_needs_a_restart_is_told(byoi, answering):
    answering(ReloadReport(now=("slots", "queue"), at_restart=("control_port",)))
    code, out, _ = byoi("reload")
    assert code == 0
    assert out == "Changed: slots, queue.\nNeeds a restart: control_port.\n"


def test_nothing_new_is_told_too(byoi, answering):
    answering(ReloadReport())
    assert byoi("reload")[1] == "Nothing has changed.\n"


def test_for_programs(byoi, answering):
    answering(ReloadReport(now=("slots",)))
    assert json.loads(byoi("reload", "--json")[1]) == {"now": ["slots"], "at_restart": []}


def test_wrong_settings_are_told_as_the_node_tells_them(byoi, answering):
    answering(ConfigError("the node keeps its settings: unknown key 'slotz'"))
    code, _, err = byoi("reload")
    assert code == 78
    assert "unknown key 'slotz'" in err


def test_a_wrong_file_does_not_keep_the_owner_from_asking(byoi, answering, tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("slotz = 1")
    monkeypatch.setenv("BYOI_CONFIG", str(tmp_path / "config.toml"))
    answering(ReloadReport())
    code, out, err = byoi("reload")
    assert (code, out) == (0, "Nothing has changed.\n")
    assert "did you mean 'slots'" in err

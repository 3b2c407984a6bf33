from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from byoi_agent.cli import elsewhere as module
from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control.client import ControlClient
from byoi_agent.control.config_words import ConfigReport, SettingChange, SettingStatus
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.model_words import (
    ModelList,
    ModelStatus,
    PullList,
    PullStatus,
    Removed,
    ServeReport,
    Unfinished,
)
from byoi_agent.control.schema import ReloadReport

COMMIT = 40 * "a"
TINY = ModelStatus(
    name="owner/tiny:Q8_0",
    id="tiny",
    kind="gguf",
    source="hub",
    commit=COMMIT,
    size_bytes=10**9,
    path="/var/lib/byoi/tiny",
    pulled_at=100,
    is_served=True,
)
SLOTS = SettingStatus(name="slots", value=4, source="file", changes_at="reload")


def a_pull(state, **facts):
    return PullStatus(id="p1", model="owner/tiny:Q8_0", state=state, began_at=99.5, **facts)


DONE = a_pull("done", came=f"owner/tiny:Q8_0@{COMMIT}")


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with other folders than this user's; `node.asked` is what it was asked to do."""
    node = SimpleNamespace(asked=[], pulls=[a_pull("pulling", phase="files", done_bytes=1), DONE])

    def answer(name, what):
        def call(_client, *arguments, **_named):
            node.asked.append((name, *arguments))
            return what() if callable(what) else what

        monkeypatch.setattr(ControlClient, name, call)

    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path / "mine"))
    instance = Instance(ControlClient(socket_path="/run/byoi/control.sock"))
    monkeypatch.setattr(module, "find", lambda *_, **__: Instances((instance,), "machine"))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    left = (Unfinished(model="owner/half", bytes=5),)
    # Younger, and of a name that begins alike.
    other = TINY.model_copy(update={"name": "owner/tiny:Q8_0_L", "id": "other", "pulled_at": 200})
    answer("models", ModelList(models=(other, TINY), unfinished=left))
    answer("pull", a_pull("waiting"))
    answer("pulls", lambda: PullList(pulls=(node.pulls.pop(0),)))
    answer("cancel_pull", a_pull("cancelled"))
    answer("remove_model", Removed(removed=(f"owner/tiny:Q8_0@{COMMIT}",), freed_bytes=1))
    answer("config", ConfigReport(file="/etc/byoi/config.toml", settings=(SLOTS,)))
    change = SettingChange(setting=SLOTS, reloaded=ReloadReport(now=("engine",)))
    answer("put_setting", change)
    report = ServeReport(
        model="owner/tiny:Q8_0", is_served=True, engine="llamacpp", reloaded=ReloadReport()
    )
    answer("serve_model", report)
    answer("unserve_model", report)
    return node


@pytest.mark.usefixtures("node")
def test_its_models_are_listed_and_not_this_user_s(byoi):
    _, out, _ = byoi("models", "list", "--json")
    told = json.loads(out)
    names = [(one["name"], one["is_chosen"]) for one in told["models"]]
    assert names == [("owner/tiny:Q8_0_L", True), ("owner/tiny:Q8_0", True)]
    assert told["unfinished"] == [{"model": "owner/half", "bytes": 5}]
    assert "owner/tiny:Q8_0" in byoi("models", "list")[1]


def test_it_fetches_a_model_into_its_own_folder(byoi, node):
    code, out, _ = byoi("models", "pull", "owner/tiny", "--quantisation", "Q8_0", "--json")
    told = json.loads(out.splitlines()[-1])
    assert code == 0
    assert (told["model"], told["commit"], told["was_here"]) == ("owner/tiny:Q8_0", COMMIT, False)
    asked = next(what for name, *what in node.asked if name == "pull")
    assert asked[0].model == "owner/tiny:Q8_0"


@pytest.mark.parametrize("asked", ["owner/tiny:Q8_0", "owner/tiny", "owner/tiny:Q8_0@main"])
def test_a_node_of_before_that_does_not_tell_what_came_is_believed(byoi, node, asked):
    node.pulls = [PullStatus(id="p1", model=asked, state="done", began_at=99.5)]
    code, out, _ = byoi("models", "pull", asked, "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, told["commit"]) == (0, COMMIT)
    assert told["model"] == ("owner/tiny:Q8_0_L" if asked == "owner/tiny" else "owner/tiny:Q8_0")


def test_what_came_and_has_gone_again_is_told(byoi, node):
    node.pulls = [a_pull("done", came=f"owner/tiny:Q8_0@{40 * 'b'}")]
    code, _, err = byoi("models", "pull", "owner/tiny:Q8_0")
    assert code == 1
    assert "has gone again" in err


def test_why_it_could_not_is_told(byoi, node):
    node.pulls = [a_pull("failed", error="no room")]
    code, _, err = byoi("models", "pull", "owner/tiny")
    assert code == 1
    assert "no room" in err


def test_ctrl_c_ends_the_pull_there_too(byoi, node, monkeypatch):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupt)
    assert byoi("models", "pull", "owner/tiny")[0] == 130
    assert ("cancel_pull", "p1") in node.asked


def test_it_removes_a_model_but_not_by_force(byoi, node):
    _, out, _ = byoi("models", "rm", "owner/tiny:Q8_0", "--json")
    assert json.loads(out) == {"removed": ["owner/tiny:Q8_0@aaaaaaa"], "unfinished": 0}
    node.asked.clear()
    code, _, err = byoi("models", "rm", "owner/tiny:Q8_0", "--force")
    assert (code, node.asked) == (78, [])
    assert "as its account" in err


def test_it_serves_a_model_and_stops_to(byoi, node, tmp_path):
    _, out, _ = byoi("models", "serve", "owner/tiny:Q8_0", "--slots", "2", "--json")
    assert json.loads(out) == {
        "model": "owner/tiny:Q8_0",
        "id": "tiny",
        "engine": "llamacpp",
        "served": True,
        "file": "/etc/byoi/config.toml",
        "reloaded": True,
    }
    assert "not served any more" in byoi("models", "serve", "--stop", "owner/tiny:Q8_0")[1]
    assert ("unserve_model", "owner/tiny:Q8_0") in node.asked
    assert not (tmp_path / "mine" / "config.toml").exists()
    assert byoi("models", "serve", "owner/tiny:Q8_0", "--no-reload")[0] == 64


def test_it_is_given_another_engine_in_its_own_file(byoi, node, tmp_path):
    code, out, _ = byoi("engines", "use", "http://127.0.0.1:11434/v1")
    assert code == 0
    assert "/etc/byoi/config.toml" in out
    assert ("put_setting", "engine", "http://127.0.0.1:11434/v1") in node.asked
    assert not (tmp_path / "mine" / "config.toml").exists()
    _, out, _ = byoi("engines", "use", "llamacpp", "--json")
    assert json.loads(out)["holds"]


@pytest.mark.usefixtures("node")
def test_its_settings_are_shown_and_its_file_is_edited_by_its_account_alone(byoi):
    _, out, _ = byoi("config", "show", "--json")
    assert json.loads(out) == {
        "file": "/etc/byoi/config.toml",
        "settings": [{"name": "slots", "value": 4, "source": "file"}],
    }
    assert "/etc/byoi/config.toml" in byoi("config", "show")[1]
    code, _, err = byoi("config", "edit")
    assert code == 78
    assert "byoi config set" in err


@pytest.mark.parametrize("found_by", ["demo", "machine"])
def test_a_demo_and_this_user_s_own_node_are_not_meant(monkeypatch, tmp_path, found_by):
    paths = resolve(Settings(data_dir=tmp_path), {})
    state = paths.state if found_by == "machine" else tmp_path / "demo"
    nodes = Instances((Instance(ControlClient(socket_path="/x"), state),), found_by)
    monkeypatch.setattr(module, "find", lambda *_, **__: nodes)
    chosen = SimpleNamespace(paths=paths, is_data_dir_named=False)
    assert module.node_elsewhere(chosen) is None

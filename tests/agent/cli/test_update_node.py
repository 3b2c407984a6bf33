from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.cli import update_node as module
from byoi_agent.cli.update_node import UpdatedNode
from byoi_agent.config.paths import Paths
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.doctor.proof import Proof
from byoi_agent.errors import AgentError
from byoi_agent.service.launcher import Remove, Run, ServiceStatus, WriteFile
from byoi_agent.update.machine import Change
from byoi_agent.update.programs import UpdateFailed
from byoi_agent.update.supervisor import Before

OLD, NEW = "1.0.0", "1.1.0"
CHANGE = Change(OLD, NEW, was_running=True, was_serving=True)
PROVEN = Proof(is_proven=True, account="byoi", engine="llamacpp 1", model="smol", seconds=0.1)
LOADS = Proof(is_proven=False, account="byoi", missing="it loads", is_pending=True)


class Node:
    """Sole owner of what the stand-ins show; `holds` is what was asked of its serving."""

    def __init__(self):
        self.version, self.pid, self.running = OLD, 42, [0]
        self.is_serving, self.proof, self.is_up = True, PROVEN, True
        self.state, self.restarts, self.now, self.holds = "running", 0, 0.0, []
        self.link, self.availability = "backoff", AvailabilityView()

    def status(self):
        """As the control API and the launcher are both asked."""
        if not self.is_up:
            raise NodeUnreachable("nobody answers")
        running = self.running.pop(0) if len(self.running) > 1 else self.running[0]
        link = SimpleNamespace(state=self.link, reason="refused", last_error=None)
        return SimpleNamespace(
            agent_version=self.version, pid=self.pid, is_serving=self.is_serving,
            running=running, waiting=0, own=None, link=link, availability=self.availability,
        )  # fmt: skip

    def prove(self):
        if isinstance(self.proof, Exception):
            raise self.proof
        return self.proof

    def hold_for_update(self, version, seconds=None):
        self.holds.append(version)

    def sleep(self, seconds):
        self.now += seconds
        if self.state == "restarting":
            self.restarts += 1


class Launcher:
    def __init__(self, node):
        self.node = node

    def status(self):
        node = self.node
        return ServiceStatus(
            launcher="systemd", scope="system", name="byoi-agent", is_installed=True,
            is_enabled=True, state="failed" if node.state == "failed" else "running",
            pid=42, restarts=node.restarts,
        )  # fmt: skip


@pytest.fixture
def node(monkeypatch):
    made = Node()
    monkeypatch.setattr(module, "ControlClient", lambda **_: made)
    clock = SimpleNamespace(monotonic=lambda: made.now, sleep=made.sleep)
    monkeypatch.setattr(module, "time", clock)
    return made


@pytest.fixture
def updated(node, tmp_path):
    def make(drain_seconds=60.0):
        return UpdatedNode(
            paths=Paths(tmp_path, tmp_path, tmp_path),
            environment={},
            launcher=Launcher(node),
            code_of=lambda version: Path("/opt") / version,
            account="byoi",
            drain_seconds=drain_seconds,
            proof_seconds=10.0,
        )

    return make


def test_what_runs_may_end(updated, node):
    node.running = [1, 2, 1, 0]
    assert updated().drain(NEW) == Before(is_running=True, is_serving=True)
    assert (node.holds, node.running) == ([NEW], [0])


def test_what_never_ends_puts_the_update_off(updated, node):
    node.running = [3]
    with pytest.raises(UpdateFailed, match="3 requests still ran after 1 minutes"):
        updated().drain(NEW)


def test_at_once_nothing_is_waited_for(updated, node):
    node.running = [3]
    assert updated(drain_seconds=0.0).drain(NEW).is_serving
    assert node.holds == []


def test_a_node_that_the_service_did_not_start_is_left_alone(updated, node):
    node.pid = 43
    with pytest.raises(UpdateFailed, match=r"process 43\) was not started by the service"):
        updated().drain(NEW)
    assert node.holds == []


def test_the_new_version_that_serves_and_answers_has_proved_itself(updated, node):
    node.version = NEW
    updated().prove(CHANGE)
    assert node.now == 0.0


@pytest.mark.parametrize(
    ("shows", "why"),
    [
        ({"version": OLD}, "1.0.0 runs and not 1.1.0, 10 s after its start"),
        ({"is_up": False}, "1.1.0 did not answer"),
        ({"is_serving": False}, "1.1.0 did not serve .link backoff: refused."),
        ({"proof": LOADS}, "it loads"),
        ({"proof": AgentError("no room")}, "could not show that it answers: no room"),
        ({"is_up": False, "state": "failed"}, "ends again and again"),
        ({"is_up": False, "state": "restarting"}, "ends again and again"),
    ],
)
def test_one_that_does_less_than_the_one_before_has_not(updated, node, shows, why):
    node.version = NEW
    for name, value in shows.items():
        setattr(node, name, value)
    with pytest.raises(UpdateFailed, match=why):
        updated().prove(CHANGE)


def away(code):
    return AvailabilityView(state="yield", code=code)


def test_an_owner_who_comes_back_meanwhile_condemns_no_version(updated, node):
    node.version, node.is_serving = NEW, False
    node.link, node.availability = "online", away("active")
    updated().prove(CHANGE)


@pytest.mark.parametrize(
    ("link", "availability"),
    [
        ("backoff", away("active")),
        ("online", away("looking")),
        ("online", away("unreadable")),
        ("online", AvailabilityView()),
        ("online", None),
    ],
)
def test_no_owner_is_to_blame_for_a_version_that_cannot(updated, node, link, availability):
    node.version, node.is_serving = NEW, False
    node.link, node.availability = link, availability
    with pytest.raises(UpdateFailed, match="did not serve"):
        updated().prove(CHANGE)


def test_one_that_was_paused_before_has_to_answer_only(updated, node):
    node.version, node.is_serving = NEW, False
    updated().prove(Change(OLD, NEW, was_running=True))


def test_one_that_did_not_run_is_asked_for_its_version_as_the_account(updated, monkeypatch):
    asked = []

    def run(argv, *, account, within_seconds):
        asked.append((argv, account))
        return "byoi 1.1.0 (python 3.11)"

    monkeypatch.setattr(module, "run", run)
    updated().prove(Change(OLD, NEW))
    program = "/opt/1.1.0/bin/byoi"
    assert asked == [([program, "version"], "byoi"), ([program, "run", "--help"], "byoi")]
    with pytest.raises(UpdateFailed, match="says that it is"):
        updated().prove(Change(NEW, "1.2.0"))


def test_the_newer_code_takes_the_state_back_as_the_account(updated, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "run", lambda argv, *, account: asked.append((argv[3:], account)))
    (tmp_path / "state.json").write_text('{"schema": 2}')
    (tmp_path / "state.json").chmod(0o600)
    updated().step_down(Path("/opt/1.1.0"), 2)
    assert asked == []
    updated().step_down(Path("/opt/1.1.0"), 1)
    assert asked == [([str(tmp_path), "1"], "byoi")]


def test_the_settings_are_written_by_the_versions_code_with_the_rights_of_their_owner(
    updated, monkeypatch
):
    asked = []
    monkeypatch.setattr(module, "run", lambda words, **how: asked.append((words[1:], how)))
    updated().fit_settings(Path("/opt/1.1.0"), 1)
    assert asked == []
    file = Path("/etc/byoi/config.toml")
    node = replace(updated(), settings_file=file, settings_account="byoi")
    node.fit_settings(Path("/opt/1.1.0"), 1)
    node.fit_settings(Path("/opt/1.1.0"), None)
    module_name = ["-m", "byoi_agent.lifecycle.fit_settings", str(file)]
    assert asked == [
        ([*module_name, "1"], {"account": "byoi"}),
        (module_name, {"account": "byoi"}),
    ]


def test_units_that_nobody_changed_become_those_of_the_version_and_systemd_reads_them(
    updated, monkeypatch, tmp_path, capsys
):
    ours, owners = tmp_path / "ours.service", tmp_path / "owners.service"

    def written(words, **_):
        version = Path(words[0]).parents[1].name
        return json.dumps(
            [{"path": str(file), "text": version, "mode": 0o644} for file in (ours, owners)]
        )

    done = []
    monkeypatch.setattr(module, "run", written)
    monkeypatch.setattr(module, "carry_out", done.extend)
    node = updated()
    reload = Run(("systemctl", "daemon-reload"), "")
    monkeypatch.setattr(
        node.launcher, "install", lambda **_: [Run(("other",), ""), reload], raising=False
    )
    ours.write_text(OLD)
    owners.write_text("mine")
    node.renew_service(Path("/opt") / OLD, Path("/opt") / NEW)
    assert done == [WriteFile(ours, NEW, 0o644), reload]
    assert f"{owners} was changed here and stays" in capsys.readouterr().err
    done.clear()
    ours.unlink()
    node.renew_service(Path("/opt") / OLD, Path("/opt") / NEW)
    assert done == []


@pytest.mark.parametrize(
    ("is_enabled", "name"),
    [(True, "more.timer"), (False, "more.timer"), (True, "byoi-update-resume.timer")],
)
def test_a_unit_that_only_the_newer_version_has_waits_from_then_on_and_goes_with_it(
    updated, monkeypatch, tmp_path, is_enabled, name
):
    unit, timer = tmp_path / "byoi-agent.service", tmp_path / name

    def written(words, **_):
        files = {unit: "unit"}
        if Path(words[0]).parents[1].name == NEW:
            files[timer] = "[Install]\n"
        return json.dumps(
            [{"path": str(path), "text": text, "mode": 0o644} for path, text in files.items()]
        )

    done = []
    monkeypatch.setattr(module, "run", written)
    monkeypatch.setattr(module, "carry_out", done.extend)
    node = updated()
    systemctl = ("systemctl", "--user")
    reload = Run((*systemctl, "daemon-reload"), "")
    monkeypatch.setattr(node.launcher, "install", lambda **_: [reload], raising=False)
    status = node.launcher.status
    monkeypatch.setattr(
        node.launcher,
        "status",
        lambda: status().model_copy(update={"is_enabled": is_enabled}),
    )
    unit.write_text("unit")
    node.renew_service(Path("/opt") / OLD, Path("/opt") / NEW)
    assert done[:2] == [WriteFile(timer, "[Install]\n", 0o644), reload]
    begun = [step.argv for step in done[2:]]
    both = [(*systemctl, "enable", name), (*systemctl, "start", name)]
    of_a_boot = name == "byoi-update-resume.timer"  # now, an update would begin beside this one
    assert begun == (both[: 1 if of_a_boot else 2] if is_enabled else [])
    done.clear()
    timer.write_text("[Install]\n")
    node.renew_service(Path("/opt") / NEW, Path("/opt") / OLD)
    assert done[0].argv == (*systemctl, "disable", "--now", timer.name)
    assert done[1:] == [Remove(timer), reload]


def test_on_windows_the_service_is_asked_where_its_file_says(updated, node, monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "win32")
    monkeypatch.setattr(module, "ControlClient", None)
    found = SimpleNamespace(nodes=(SimpleNamespace(client=node),))
    monkeypatch.setattr(module, "find", lambda *_, **__: found)
    node.pid = 43  # the service's own is that of its launcher
    assert updated().drain(NEW) == Before(is_running=True, is_serving=True)
    monkeypatch.setattr(
        Launcher, "status", lambda _: SimpleNamespace(pid=None, state="stopped", restarts=0)
    )
    with pytest.raises(UpdateFailed, match="was not started by the service"):
        updated().drain(NEW)

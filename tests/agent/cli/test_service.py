from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from byoi_agent.cli import program
from byoi_agent.cli import service as module
from byoi_agent.config.installation import Installation
from byoi_agent.service.launcher import ServiceStatus, WriteFile
from byoi_agent.service.linux import PLACES

VERSIONS = Installation(kind="versions", root=Path("/opt/byoi"), service=PLACES)


class Launcher:
    """Remembers what it was asked, and stands as the test says."""

    def __init__(self, file: Path) -> None:
        self.asked: list[str] = []
        self.scope = "user"
        self.stands = {"state": "running", "is_installed": True}
        self._step = WriteFile(file, "unit")

    def __getattr__(self, verb):
        def make(**chosen):
            self.asked.append(" ".join([verb, *(f"{name}={chosen[name]}" for name in chosen)]))
            return [self._step]

        return make

    def hints(self):
        return ["byoi enroll"]

    def status(self):
        facts = {"launcher": "systemd", "scope": self.scope, "name": "u", "is_enabled": True}
        return ServiceStatus(**facts, **self.stands)


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    made = Launcher(tmp_path / "unit")

    def choose(scope, *_, **__):
        made.scope = scope
        return made

    monkeypatch.setattr(module, "launcher_for", choose)
    monkeypatch.setattr(module, "read_installation", lambda: VERSIONS)
    monkeypatch.setattr(module, "meant_scope", lambda: "user")
    monkeypatch.delenv("SUDO_UID", raising=False)
    return made


@pytest.fixture
def is_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def is_nobody(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)


def test_what_is_done_is_told_and_what_comes_next(byoi, launcher, tmp_path):
    code, out, _ = byoi("service", "install")
    assert code == 0
    assert out == f"write {tmp_path / 'unit'}\nNext: byoi enroll\n"
    assert (tmp_path / "unit").exists()
    assert launcher.asked == ["install start=True"]


def test_a_dry_run_changes_nothing(byoi, launcher, tmp_path):
    _, out, _ = byoi("service", "install", "--system", "--no-start", "--dry-run", "--json")
    assert json.loads(out)["steps"] == [f"write {tmp_path / 'unit'}"]
    assert not (tmp_path / "unit").exists()
    assert launcher.asked == ["install start=False"]


@pytest.mark.parametrize("verb", ["install", "uninstall", "start", "stop", "restart"])
def test_the_machines_service_is_roots(byoi, launcher, is_nobody, verb):
    code, _, err = byoi("service", verb, "--system")
    assert code == 78
    assert "with sudo" in err


def test_ones_own_service_is_not_roots(byoi, launcher, is_root, monkeypatch):
    monkeypatch.setenv("SUDO_UID", "1000")
    code, _, err = byoi("service", "start", "--user")
    assert code == 78
    assert "needs no sudo" in err


def test_a_package_looks_after_its_service_itself(byoi, launcher, is_root, monkeypatch):
    monkeypatch.setattr(module, "read_installation", lambda: Installation(kind="deb"))
    code, _, err = byoi("service", "install", "--system")
    assert code == 78
    assert "apt remove byoi-agent" in err


def test_what_lies_in_somebodys_home_is_no_service_of_the_machine(byoi, launcher, monkeypatch):
    monkeypatch.setattr(module, "read_installation", lambda: Installation())
    code, _, err = byoi("service", "install", "--system")
    assert code == 78
    assert "install.sh" in err


def test_starting_what_is_not_installed_says_how(byoi, launcher):
    launcher.stands = {"state": "stopped", "is_installed": False}
    code, _, err = byoi("service", "start")
    assert code == 78
    assert "byoi service install" in err


@pytest.mark.parametrize(
    ("state", "code", "said"), [("stopped", 78, "byoi enroll"), ("failed", 1, "byoi doctor")]
)
def test_a_node_that_does_not_run_after_a_start_is_no_success(byoi, launcher, state, code, said):
    launcher.stands = {"state": state, "is_installed": True, "words": "ended by oom"}
    ended, _, err = byoi("service", "restart")
    assert ended == code
    assert said in err


def test_a_purge_is_only_for_the_machine(byoi, launcher, is_root):
    assert byoi("service", "uninstall", "--purge")[0] == 64
    assert byoi("service", "uninstall", "--system", "--purge")[0] == 0
    assert launcher.asked == ["uninstall purge=True"]


def test_the_status_is_a_sentence_or_json(byoi, launcher):
    launcher.stands |= {"pid": 7, "restarts": 2, "words": "serves", "file": "/u"}
    _, out, _ = byoi("service", "status")
    assert out.splitlines()[0] == (
        "systemd, this user's service: running (process 7), starts by itself"
    )
    assert "started again 2 times" in out
    assert json.loads(byoi("service", "status", "--json")[1])["pid"] == 7
    launcher.stands = {"state": "stopped", "is_installed": False}
    assert byoi("service", "status", "--system")[1] == (
        "Not installed as the machine's service; byoi service install --system does it.\n"
    )


@pytest.mark.parametrize(("ended", "told"), [(78, 0), (0, 0), (69, 69)])
def test_launchd_is_not_told_to_try_again_what_is_vain(byoi, monkeypatch, ended, told):
    asked = []
    real = program.run

    def run(words):
        if words[:1] != ["run"]:
            return real(words)
        asked.append(list(words))
        return ended

    monkeypatch.setattr(program, "run", run)
    assert byoi("service", "run", "--data-dir", "/d")[0] == told
    assert asked == [["run", "--data-dir", "/d"]]

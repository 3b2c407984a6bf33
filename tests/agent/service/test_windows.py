from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from byoi_agent.config.sddl import WRITES, allowed, service_sid
from byoi_agent.service.doing import carry_out, in_words
from byoi_agent.service.launcher import ServiceError
from byoi_agent.service.windows import SystemService, places
from byoi_agent.service.windows_structures import ProcessStatus

GROUP = "S-1-5-21-1-2-3-2000"


@dataclass
class Windows:
    command: str | None = None
    state: int = 1
    exit_code: int = 0
    groups: set[str] = field(default_factory=set)
    rights: dict[str, str] = field(default_factory=dict)
    at_logon: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, object] = field(default_factory=dict)
    has_scheduler: bool = True
    has_events: bool = False
    looks_until_stopped: int = 0

    def register(self, command):
        self.command = command

    def unregister(self):
        self.command = None

    def start(self):
        if self.command is None:
            raise OSError(1060, "The specified service does not exist")
        self.state = 4

    def stop(self):
        self.state = 3

    def look(self):
        if self.command is None:
            return None
        if self.state == 3:
            self.looks_until_stopped -= 1
            self.state = 1 if self.looks_until_stopped < 0 else 3
        pid = 42 if self.state == 4 else 0
        return ProcessStatus(0x10, self.state, 0, self.exit_code, 0, 0, 0, pid, 0)

    def make_group(self, name, comment):
        self.groups.add(name)

    def account(self, name):
        return GROUP if name in self.groups else None

    def give_rights(self, folder, rights):
        folder.mkdir(parents=True, exist_ok=True)
        self.rights[folder.name] = rights

    def make_event_source(self):
        self.has_events = True

    def remove_event_source(self):
        self.has_events = False

    def start_at_logon(self, name, command):
        self.at_logon[name] = command

    def stop_at_logon(self, name):
        self.at_logon.pop(name, None)

    def run_every_hour(self, name, program, arguments):
        if not self.has_scheduler:
            raise OSError(1722, "The RPC server is unavailable")
        self.tasks[name] = (program, arguments)

    def run_no_more(self, name):
        self.tasks.pop(name, None)


@pytest.fixture
def windows():
    return Windows()


@pytest.fixture
def recorded():
    return []


@pytest.fixture
def service(tmp_path, windows, recorded):
    return SystemService(
        tmp_path / "bin" / "byoi", windows, tmp_path / "data", recorded.append, lambda _: None
    )


def test_installed_it_has_an_account_folders_and_a_helper_at_each_logon(
    service, windows, recorded, tmp_path
):
    carry_out(service.install(start=True))
    program = tmp_path / "bin" / "byoi.exe"
    assert windows.command == f'"{program}" run --as-service'
    assert windows.at_logon == {"byoi session": f'"{program}" session'}
    assert windows.tasks == {"byoi update": (program, "update --unattended")}
    assert windows.groups == {"byoi"}
    assert windows.has_events
    assert recorded == [places(tmp_path / "data")]
    assert service.status().state == "running"
    assert service.status().pid == 42


def test_only_the_service_may_see_its_state_and_its_group_reads_where_it_listens(service, windows):
    carry_out(service.install(start=False))
    own = {"SY", "BA", service_sid("byoi")}
    assert set(windows.rights) == {"byoi", "state", "cache", "run"}
    for name in ("byoi", "state", "cache"):
        assert allowed(windows.rights[name], 0xFFFF_FFFF) == own
        assert windows.rights[name].startswith("D:P")
    assert allowed(windows.rights["run"], 0xFFFF_FFFF) == own | {GROUP}
    assert allowed(windows.rights["run"], WRITES) == own


def test_without_its_group_nobody_else_reads_where_it_listens(service, windows, monkeypatch):
    monkeypatch.setattr(windows, "make_group", lambda *_: None)
    carry_out(service.install(start=False))
    assert GROUP not in windows.rights["run"]


def test_a_dry_run_says_it_in_words_and_changes_nothing(service, windows):
    told = [in_words(step) for step in service.install(start=True)]
    assert told[1] == r"register the service byoi for NT SERVICE\byoi"
    assert told[-1] == "start the service byoi"
    assert windows == Windows()


def test_uninstalled_nothing_is_left_but_its_state_which_a_purge_takes(
    service, windows, recorded, tmp_path
):
    carry_out(service.install(start=True))
    carry_out(service.uninstall(purge=False))
    assert (windows.command, windows.at_logon, windows.has_events) == (None, {}, False)
    assert windows.tasks == {}
    assert recorded[-1] is None
    assert (tmp_path / "data" / "byoi" / "state").is_dir()
    carry_out(service.uninstall(purge=True))  # once more: nothing is there to stop
    assert not (tmp_path / "data" / "byoi").exists()
    assert not service.status().is_installed


def test_a_restart_waits_until_requests_have_ended(service, windows):
    carry_out(service.install(start=True))
    windows.looks_until_stopped = 5
    carry_out(service.restart())
    assert windows.state == 4
    assert windows.looks_until_stopped < 0


def test_a_node_that_does_not_stop_is_told_of(service, windows):
    carry_out(service.install(start=True))
    windows.looks_until_stopped = 10**6
    with pytest.raises(ServiceError, match="still answers"):
        carry_out(service.stop())


def test_what_windows_refuses_is_a_sentence_with_its_mend(service, windows, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(windows, "register", refuse)
    monkeypatch.setattr(windows, "look", refuse)
    with pytest.raises(
        ServiceError, match=r"cannot register .*: Access is denied; .*type the same"
    ):
        carry_out(service.install(start=True))
    with pytest.raises(ServiceError, match="service manager does not answer: Access is denied"):
        service.status()


@pytest.mark.parametrize(
    ("state", "exit_code", "shown"),
    [
        (1, 0, "stopped"),
        (1, 1066, "failed"),
        (2, 0, "starting"),
        (4, 0, "running"),
        (9, 0, "unknown"),
    ],
)
def test_how_it_stands(service, windows, state, exit_code, shown):
    windows.command, windows.state, windows.exit_code = "x", state, exit_code
    assert service.status().state == shown


def test_what_comes_next_is_said(service, tmp_path):
    assert "byoi enroll" in service.hints()[0]
    state = places(tmp_path / "data").state
    state.mkdir(parents=True)
    (state / "identity.json").write_text("{}")
    (hint,) = service.hints()
    assert "net localgroup byoi" in hint


def test_without_a_scheduler_there_is_a_service_all_the_same(service, windows, caplog):
    windows.has_scheduler = False
    carry_out(service.install(start=True))
    assert service.status().state == "running"
    assert "no task looks for updates" in caplog.text

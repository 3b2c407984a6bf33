from __future__ import annotations

import json

import pytest

from byoi_agent.cli import schedule as module
from byoi_agent.cli.schedule import days_of
from byoi_agent.config.availability import Schedule, Window
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schedule import ScheduleNow, ScheduleStatus
from byoi_agent.control.schema import AvailabilityStatus
from byoi_agent.errors import ConfigError

NIGHT = ("--days", "mon-fri", "--since", "22:00", "--until", "06:00")


@pytest.fixture
def file(tmp_path, monkeypatch):
    file = tmp_path / "config.toml"
    monkeypatch.setenv("BYOI_CONFIG", str(file))
    file.write_text("# mine\n")
    return file


def test_without_a_node_the_file_is_changed(byoi, file):
    code, out, _ = byoi("schedule", "add", *NIGHT)
    assert code == 0
    assert "  1  serves  mon-fri, 22:00-06:00 of the next day" in out
    assert "No node runs here" in out
    assert file.read_text() == (
        '# mine\n\n[schedule]\nwindows = [\n    {days = ["mon", "tue", "wed", "thu", "fri"], '
        'since = "22:00", until = "06:00"},\n]\n'
    )


def test_times_are_typed_as_those_of_a_pause(byoi, file):
    assert "07:30-09:05" in byoi("schedule", "add", "--since", "7:30", "--until", "9:05")[1]
    assert 'since = "07:30", until = "09:05"' in file.read_text()


def test_the_week_is_shown_as_a_picture(byoi, file):
    byoi("schedule", "add", "--days", "mon", "--since", "06:00", "--until", "12:00")
    byoi("schedule", "add", "--quiet", "--days", "mon", "--since", "09:00", "--until", "10:30")
    out = byoi("schedule")[1].splitlines()
    assert out[0].split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
    assert out[1].rstrip() == "mon  " + "░" * 12 + "█" * 6 + "·" * 3 + "█" * 3 + "░" * 24
    assert out[2].rstrip() == "tue  " + "░" * 48


def test_hours_are_removed_by_their_number_or_all(byoi, file):
    byoi("schedule", "add", *NIGHT)
    byoi("schedule", "add", "--since", "12:00", "--until", "13:00")
    byoi("schedule", "add", "--quiet", "--since", "23:00", "--until", "07:00")
    assert byoi("schedule", "remove", "3")[0] == 0
    assert "quiet =" not in file.read_text()
    assert byoi("schedule", "remove", "1")[0] == 0
    assert "22:00" not in file.read_text()
    told = json.loads(byoi("schedule", "remove", "--all", "--json")[1])
    assert (told["windows"], told["quiet"]) == ([], [])
    assert file.read_text().strip() == "# mine"


def test_the_data_folder_may_stand_before_the_inner_command(byoi, tmp_path, monkeypatch):
    monkeypatch.delenv("BYOI_CONFIG", raising=False)
    assert byoi("schedule", "--data-dir", str(tmp_path), "--json", "add", *NIGHT)[0] == 0
    assert "22:00" in (tmp_path / "config.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "--since", "9.00", "--until", "10:00"), 64, "no time of day"),
        (("add", "--since", "25:00", "--until", "10:00"), 64, "no time of day"),
        (("add", "--days", "some", "--since", "09:00", "--until", "10:00"), 64, "mon-fri"),
        (("add", "--since", "09:00"), 64, "--until"),
        (("remove",), 64, "name the NUMBER"),
        (("remove", "1", "--all"), 64, "name the NUMBER"),
        (("remove", "7"), 78, "no hours number 7"),
    ],
)
def test_a_wrong_word_is_told_with_its_mend(byoi, file, arguments, code, words):
    told = byoi("schedule", *arguments)
    assert (told[0], words in told[2]) == (code, True)
    assert file.read_text() == "# mine\n"


def test_the_same_hours_twice_are_told(byoi, file):
    byoi("schedule", "add", *NIGHT)
    code, _, err = byoi("schedule", "add", *NIGHT)
    assert code == 78
    assert "has mon-fri, 22:00-06:00 of the next day already" in err


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-wed", ("mon", "tue", "wed")),
        ("fri-mon", ("mon", "fri", "sat", "sun")),
        ("Sat, sun", ("sat", "sun")),
        ("weekend,mon", ("mon", "sat", "sun")),
        ("thu", ("thu",)),
        ("mon-mon", ("mon",)),
    ],
)
def test_days_are_named_as_people_do(text, days):
    assert days_of(text) == days
    assert len(days_of("all")) == 7


class Node:
    """A running node with a schedule; `refusal` is what it says to another one."""

    def __init__(self, file):
        self.file = file
        self.schedule = Schedule()
        self.refusal = None
        self.reloads = 0

    def status(self):
        now = ScheduleNow(is_open=False, is_quiet=False, file=str(self.file))
        return ScheduleStatus(**dict(self.schedule), now=now)


@pytest.fixture
def node(file, monkeypatch):
    found = Node(file)

    def put(_, wanted):
        if found.refusal:
            raise ConfigError(found.refusal)
        found.schedule = wanted
        return found.status()

    def reload(_):
        found.reloads += 1

    held = AvailabilityStatus(mode="scheduled", state="serve", code="x", reason="y")
    instances = Instances((Instance(ControlClient(socket_path="/x")),), "machine")
    monkeypatch.setattr(module, "find", lambda *_, **__: instances)
    monkeypatch.setattr(ControlClient, "schedule", lambda _: found.status())
    monkeypatch.setattr(ControlClient, "put_schedule", put)
    monkeypatch.setattr(ControlClient, "reload", reload)
    monkeypatch.setattr(ControlClient, "status", lambda _: type("S", (), {"availability": held}))
    return found


def test_a_running_node_changes_its_own_file(byoi, node):
    code, out, _ = byoi("schedule", "add", *NIGHT)
    assert code == 0
    assert node.schedule.windows == (
        Window(days=("mon", "tue", "wed", "thu", "fri"), since="22:00", until="06:00"),
    )
    assert "No node runs" not in out
    assert "byoi mode scheduled" not in out
    assert node.file.read_text() == "# mine\n"


def test_where_the_node_may_not_write_whoever_may_does_it(byoi, node):
    node.refusal = "it cannot be written"
    assert byoi("schedule", "add", *NIGHT)[0] == 0
    assert "22:00" in node.file.read_text()
    assert node.reloads == 1


def test_where_nobody_may_write_it_is_told(byoi, node, monkeypatch):
    node.refusal = "config.toml cannot be written; sudo byoi schedule …"
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    code, _, err = byoi("schedule", "add", *NIGHT)
    assert code == 78
    assert "sudo byoi schedule" in err

from __future__ import annotations

import pytest

from byoi_agent.config.loading import load
from byoi_agent.config.settings import Settings
from byoi_agent.control.routing import Refusal
from byoi_agent.control.schema import ReloadReport
from byoi_agent.control.settings_desk import SettingsDesk
from byoi_agent.errors import ConfigError

TEXT = """# mine
slots = 2  # as many as fit
engine_api_key = "hunter2"

[idle]
# quickly
after_minutes = 3
"""


class Node:
    """Has settings, and reads them again."""

    def __init__(self, file):
        self.file = file
        self.environment = {}
        self.held = self.loaded().values
        self.failure = None

    def loaded(self):
        return load({}, self.environment, self.file if self.file.exists() else None)

    def reload(self):
        if self.failure is not None:
            raise self.failure
        before, self.held = self.held, self.loaded().values
        names = Settings.model_fields
        return ReloadReport(
            now=tuple(n for n in names if getattr(before, n) != getattr(self.held, n))
        )


@pytest.fixture
def node(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(TEXT)
    return Node(file)


@pytest.fixture
def desk(node):
    return SettingsDesk(node.loaded, lambda: node.held, node.reload, node.file)


def test_each_setting_is_shown_with_who_set_it_and_no_secret(desk):
    report = desk.report()
    rows = {row.name: row for row in report.settings}
    assert rows["slots"].value == 2
    assert (rows["slots"].source, rows["slots"].changes_at) == ("file", "reload")
    assert rows["idle"].value["after_minutes"] == 3
    assert "hunter2" not in report.model_dump_json()
    assert rows.keys() == Settings.model_fields.keys()


def test_what_does_not_hold_yet_is_told(desk, node):
    node.file.write_text(TEXT.replace("slots = 2", "slots = 5"))
    row = desk.one("slots")
    assert (row.value, row.holds, row.is_pending) == (5, 2, True)
    assert desk.one("queue").is_pending is False


def test_a_value_is_written_and_taken_over_and_comments_stay(desk, node):
    change = desk.put("slots", 4)
    assert change.setting.value == 4
    assert change.reloaded.now == ("slots",)
    assert change.overruled_by is None
    assert node.file.read_text() == TEXT.replace("slots = 2", "slots = 4")


def test_a_value_of_a_table_is_written_there(desk, node):
    change = desk.put("idle.after_minutes", "7.5")
    assert change.setting.value["after_minutes"] == 7.5
    assert "# quickly\nafter_minutes = 7.5" in node.file.read_text()
    desk.put("protect.power_limit_watts", 200)
    assert node.held.protect.power_limit_watts == 200
    desk.put("protect.power_limit_watts", None)
    assert node.held.protect.power_limit_watts is None


def test_null_takes_a_setting_out(desk, node):
    desk.put("slots", None)
    assert node.held.slots is None
    assert "slots" not in node.file.read_text()


def test_what_forms_send_as_text_becomes_a_number(desk, node):
    desk.put("slots", "4")
    assert "slots = 4 " in node.file.read_text()


def test_a_file_that_was_not_there_is_made(tmp_path):
    node = Node(tmp_path / "new" / "config.toml")
    desk = SettingsDesk(node.loaded, lambda: node.held, node.reload, node.file)
    desk.put("queue", 3)
    assert node.file.read_text() == "queue = 3\n"
    assert node.file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "value", "status", "said"),
    [
        ("slotz", 1, 404, "did you mean 'slots'"),
        ("idle.after_minute", 1, 404, "did you mean 'after_minutes'"),
        ("slots.x", 1, 404, "slots is no table"),
        ("slots", 0, 400, "slots: Input should be greater than or equal to 1"),
        ("slots", True, 400, "true and false mean nothing"),
        ("slots", {"a": 1}, 400, "slots: "),
        ("slots", float("nan"), 400, "slots: "),
        ("idle.after_minutes", -1, 400, "idle.after_minutes: "),
        ("idle.after_minutes", True, 400, "true and false mean nothing"),
        ("console", "nowhere", 400, "is no console address"),
        ("console", "", 400, "there is nothing in it"),
        ("engine_api_key", "k", 400, "is a secret"),
        ("engine_api_key", None, 400, "is a secret"),
        ("models", [], 400, "byoi models serve"),
        ("schedule.windows", [], 400, "byoi schedule"),
        ("schedule.price", {}, 400, "byoi config edit for forecasts"),
        ("remote_code", ["a/b@c"], 400, "yourself"),
        ("vllm_python", "/tmp/python", 400, "file alone; write it there yourself"),
        ("vllm_python", None, 400, "byoi config edit"),
        ("cache_dir", "/tmp/engines", 400, "file alone; write it there yourself"),
        ("idle", {}, 400, "name a value in it, like idle."),
    ],
)
def test_what_cannot_be_is_refused_with_the_mend_and_changes_nothing(
    desk, node, name, value, status, said
):
    with pytest.raises(Refusal, match=said.replace("(", r"\(")) as refusal:
        desk.put(name, value)
    assert refusal.value.status == status
    assert node.file.read_text() == TEXT


def test_what_the_node_refuses_is_taken_back(desk, node):
    node.failure = ConfigError("this machine has no such GPU")
    with pytest.raises(ConfigError, match=r"nothing is changed: .*no such GPU"):
        desk.put("slots", 4)
    assert node.file.read_text() == TEXT


def test_a_file_that_is_wrong_already_is_left_alone(desk, node):
    node.file.write_text("slotz = 1\n")
    with pytest.raises(ConfigError, match="slotz"):
        desk.put("slots", 4)
    assert node.file.read_text() == "slotz = 1\n"


def test_a_file_that_cannot_be_written_is_told_with_the_mend(desk, node, monkeypatch):
    def refuse(*_what):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("byoi_agent.config.edit.rewrite", refuse)
    with pytest.raises(ConfigError, match=r"cannot be written.*as a user who may"):
        desk.put("slots", 4)


def test_a_node_without_a_file_says_so(node):
    desk = SettingsDesk(node.loaded, lambda: node.held, node.reload, None)
    with pytest.raises(ConfigError, match="no configuration file"):
        desk.put("slots", 4)
    assert desk.report().file is None


def test_who_wins_over_the_file_is_told(desk, node):
    node.environment["BYOI_SLOTS"] = "9"
    change = desk.put("slots", 4)
    assert change.overruled_by == "environment"
    assert change.setting.value == 9


def test_the_schema_tells_of_every_setting(desk):
    schema = desk.schema()
    facts = {fact.name: fact for fact in schema.settings}
    assert facts.keys() == Settings.model_fields.keys()
    assert facts["slots"].flag == "--slots"
    assert facts["slots"].variable == "BYOI_SLOTS"
    assert facts["engine_api_key"].is_secret
    own = {"engine_api_key", "models", "remote_code", "schedule", "vllm_python", "cache_dir"}
    assert {name for name, fact in facts.items() if not fact.is_settable} == own
    assert facts["idle"].flag is None
    assert schema.json_schema["additionalProperties"] is False

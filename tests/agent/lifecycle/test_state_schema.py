from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from byoi_agent.config.paths import outbox_file
from byoi_agent.errors import ConfigError
from byoi_agent.lifecycle import state_schema
from byoi_agent.lifecycle.state_schema import (
    FILE_NAME,
    STATE_SCHEMA,
    StateTooNew,
    Step,
    bring_down,
    bring_up,
    number_of,
)
from byoi_agent.usage import schema


def steps(told):
    def step(name):
        return Step(
            name, up=lambda _: told.append(f"{name} up"), down=lambda _: told.append(f"{name} down")
        )

    return tuple(step(name) for name in "abcd")


@pytest.fixture
def state(tmp_path):
    with closing(sqlite3.connect(outbox_file(tmp_path), isolation_level=None)) as database:
        schema.migrate(database)
    return tmp_path


def test_a_new_state_gets_its_number_and_keeps_it(tmp_path):
    bring_up(tmp_path)
    bring_up(tmp_path)
    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"schema": STATE_SCHEMA}
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_each_step_is_gone_once_and_back_again_in_the_other_order(tmp_path):
    told = []
    (tmp_path / FILE_NAME).write_text('{"schema": 2}')
    (tmp_path / FILE_NAME).chmod(0o600)
    bring_up(tmp_path, steps(told))
    bring_down(tmp_path, 1, steps(told))
    assert told == ["c up", "d up", "d down", "c down", "b down"]
    assert number_of(tmp_path) == 1


def test_a_way_that_was_cut_off_is_gone_on_from_where_it_was(tmp_path):
    told = []
    broken = (
        *steps(told)[:2],
        Step("c", up=lambda _: None, down=lambda _: 1 / 0),
        *steps(told)[3:],
    )
    bring_up(tmp_path, broken)
    with pytest.raises(ZeroDivisionError):
        bring_down(tmp_path, 1, broken)
    assert number_of(tmp_path) == 3
    bring_down(tmp_path, 1, steps(told))
    assert told == ["d up", "d down", "c down", "b down"]


def test_a_state_of_a_later_version_is_left_alone(state):
    bring_up(state)
    (state / FILE_NAME).write_text(json.dumps({"schema": STATE_SCHEMA + 1}))
    with pytest.raises(StateTooNew, match="a later version of byoi wrote"):
        bring_up(state)
    with pytest.raises(StateTooNew):
        bring_down(state, 1)
    assert number_of(state) == STATE_SCHEMA + 1


def test_there_is_no_way_back_beyond_the_first_version(state):
    bring_up(state)
    with pytest.raises(ConfigError, match="back to schema 0"):
        bring_down(state, 0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "2"}', '{"schema": 0}'])
def test_a_number_that_cannot_be_understood_is_told(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(ConfigError, match=FILE_NAME):
        bring_up(tmp_path)


def test_a_full_disk_keeps_no_node_from_starting_that_has_nothing_to_bring_up(
    tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_schema, "write_private", full)
    bring_up(tmp_path)
    assert not (tmp_path / FILE_NAME).exists()


def test_what_a_release_says_of_itself_holds_for_the_outbox_too(state):
    bring_up(state)
    bring_down(state, state_schema.OLDEST)
    with closing(sqlite3.connect(outbox_file(state))) as database:
        assert schema.version_of(database) == schema.OLDEST

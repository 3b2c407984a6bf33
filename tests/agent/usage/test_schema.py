from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from byoi_agent.usage import schema


@pytest.fixture
def database(tmp_path):
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as database:
        yield database


def version(database) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def test_a_new_file_gets_every_step_once(database):
    schema.migrate(database)
    schema.migrate(database)
    assert version(database) == schema.VERSION
    assert database.execute("SELECT count(*) FROM records").fetchone() == (0,)


def test_a_step_is_whole_or_not_at_all(database, monkeypatch):
    steps = (*schema._MIGRATIONS, ("CREATE TABLE half (x)", "this is no SQL"))
    monkeypatch.setattr(schema, "_MIGRATIONS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(database)
    assert version(database) == len(steps) - 1
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "records" in tables
    assert "half" not in tables


def test_a_step_that_another_process_went_meanwhile_is_not_gone_twice(database, tmp_path):
    class Slow:
        """Another process goes the step between this one's look and its lock."""

        def __init__(self) -> None:
            self.in_transaction = False

        def execute(self, statement):
            if statement == "BEGIN IMMEDIATE":
                with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as other:
                    schema.migrate(other)
            return database.execute(statement)

    schema.migrate(Slow())
    assert version(database) == schema.VERSION


def test_a_file_of_a_later_version_is_refused(database):
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(schema.SchemaTooNew):
        schema.migrate(database)


def test_a_file_of_before_energy_was_known_keeps_its_records(database):
    for statement in schema._MIGRATIONS[0]:
        database.execute(statement)
    database.execute("PRAGMA user_version = 1")
    database.execute(
        "INSERT INTO records (request_id, attempt, day, model, outcome, prompt_tokens,"
        " completion_tokens, cached_tokens, body, key_id, signature)"
        " VALUES ('r', 1, '2026-01-01', 'smol', 'complete', 1, 2, 0, '{}', 'k', 's')"
    )
    schema.migrate(database)
    assert version(database) == schema.VERSION >= schema.ENERGY_VERSION
    kept = database.execute("SELECT request_id, microjoules, earned_nano FROM records").fetchall()
    assert kept == [("r", None, None)]


FULL = (
    "INSERT INTO records (request_id, attempt, day, model, outcome, prompt_tokens,"
    " completion_tokens, cached_tokens, body, key_id, signature, microjoules, earned_nano,"
    " earned_currency, energy_nano, energy_currency)"
    " VALUES ('r', 1, '2026-01-01', 'smol', 'complete', 1, 2, 0, '{}', 'k', 's', 5, 7, 'EUR', 3,"
    " 'EUR'), ('q', 1, '2026-01-01', 'smol', 'complete', 1, 2, 0, '{}', 'k', 's', NULL, NULL, NULL,"
    " NULL, NULL)"
)
ENERGY = "INSERT INTO energy VALUES ('2026-01-01', 'smol', 'idle', 'nvml', 'EUR', 11, 13)"


def test_an_older_version_goes_on_where_the_file_was_brought_back_and_nothing_is_lost(database):
    schema.migrate(database)
    database.execute(FULL)
    database.execute(ENERGY)
    before = list(database.execute("SELECT * FROM records ORDER BY sequence"))
    schema.step_back(database, schema.OLDEST)
    assert version(database) == schema.OLDEST == 1
    database.execute(  # as the older version writes
        "INSERT INTO records (request_id, attempt, day, model, outcome, prompt_tokens,"
        " completion_tokens, cached_tokens, body, key_id, signature)"
        " VALUES ('old', 1, '2026-01-02', 'smol', 'complete', 1, 2, 0, '{}', 'k', 's')"
    )
    database.execute("DELETE FROM records WHERE request_id = 'q'")
    schema.migrate(database)
    after = list(database.execute("SELECT * FROM records ORDER BY sequence"))
    assert after[0] == before[0]
    assert after[1][1] == "old"
    assert database.execute("SELECT microjoules, nano FROM energy").fetchall() == [(11, 13)]
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert not {name for name in names if name.startswith("kept_")}


def test_a_step_back_is_whole_or_not_at_all(database, monkeypatch):
    schema.migrate(database)
    database.execute(FULL)
    monkeypatch.setitem(schema._STEPS_BACK, 2, (*schema._STEPS_BACK[2], "this is no SQL"))
    with pytest.raises(sqlite3.OperationalError):
        schema.step_back(database, 1)
    assert version(database) == 2
    assert database.execute("SELECT microjoules FROM records").fetchall() == [(5,), (None,)]


def test_a_file_is_not_brought_back_further_than_there_are_steps(database):
    schema.migrate(database)
    with pytest.raises(ValueError, match="oldest that can be gone back to"):
        schema.step_back(database, schema.OLDEST - 1)

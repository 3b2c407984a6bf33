from __future__ import annotations

import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from byoi_console.errors import ConfigError
from byoi_console.nodes.records import NodeRecords
from byoi_console.store import database as database_module
from byoi_console.store import migrate as migrate_module
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate
from byoi_console.store.tables import metadata


async def test_the_migrations_make_exactly_the_tables_of_the_code(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(database):
    await migrate(database)


async def test_four_processes_may_start_at_once(database_url):
    databases = [Database(database_url) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for database in databases:
            tasks.create_task(migrate(database))
    async with databases[0].read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert {*metadata.tables, "alembic_version"} == set(names)
    for database in databases:
        await database.close()


async def test_a_process_that_migrates_for_long_is_waited_for(database_url, monkeypatch):
    """Longer than SQLite's own patience with a writer: on a busy machine that happens."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 1)
    slow, other = Database(database_url), Database(database_url)
    waits = []

    def is_busy(error):
        waits.append(str(error.orig))
        return real(error)

    real = migrate_module._is_busy
    monkeypatch.setattr(migrate_module, "_is_busy", is_busy)
    async with asyncio.TaskGroup() as tasks, slow.write():
        waiting = tasks.create_task(migrate(other))
        while len(waits) < 3:
            await asyncio.sleep(0)
        assert not waiting.done()
    assert set(waits) == {"database is locked"}
    await migrate(slow)
    for each in (slow, other):
        await each.close()


async def test_a_process_that_never_ends_is_not_waited_for_for_ever(database_url, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 1)
    monkeypatch.setattr(migrate_module, "PATIENCE_SECONDS", 0.0)
    stuck, other = Database(database_url), Database(database_url)
    async with stuck.write():
        with pytest.raises(ConfigError, match="database is locked"):
            await migrate(other)
    for each in (stuck, other):
        await each.close()


async def test_a_database_as_it_should_be_is_only_read(database, database_url, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 1)
    other = Database(database_url)
    async with database.write():
        await migrate(other)
    await other.close()


def step(connection, direction, target):
    config = migrate_module._config()
    config.attributes["connection"] = connection
    getattr(command, direction)(config, target)


BEFORE = {
    "organisations": {"id": "org_1", "name": "example", "created_at_ms": 1},
    "people": {"id": "person_1", "email": "a@b", "password_hash": "x", "created_at_ms": 1},
    "join_tokens": {
        "id": "join_1",
        "org_id": "org_1",
        "token_hash": "h",
        "uses": 2,
        "uses_left": 1,
        "created_at_ms": 1,
        "expires_at_ms": 2,
    },
    "nodes": {
        "id": "node_1",
        "org_id": "org_1",
        "name": "old",
        "host": '{"os": "linux"}',
        "join_token_id": "join_1",
        "created_at_ms": 1,
        "last_seen_at_ms": 5,
        "has_departed": False,
        "epoch": 7,
    },
    "node_keys": {"id": "nkey_1", "node_id": "node_1", "public_key": "AAAA", "created_at_ms": 1},
}


@pytest.fixture
async def first_version(database_url):
    """A database of the first version with a row in each table that has changed since."""
    database = Database(database_url)
    async with database.write() as connection:
        await connection.run_sync(step, "upgrade", "0001")
        for table, row in BEFORE.items():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            query = text(f"INSERT INTO {table} ({names}) VALUES ({values})")
            await connection.execute(query, row)
    yield database
    await database.close()


async def test_nodes_of_before_are_their_organisation_s_own_and_always_on(first_version, audit):
    await migrate(first_version)
    (node,) = await NodeRecords(first_version, audit).list("org_1")
    assert (node.node_id, node.name, node.epoch) == ("node_1", "old", 7)
    assert (node.visibility, node.mode) == ("org", "dedicated")
    assert (node.machine, node.drained_at_ms, node.enrolled_by) == (None, None, None)
    async with first_version.read() as connection:
        token = (await connection.execute(select(metadata.tables["join_tokens"]))).one()
        key = (await connection.execute(select(metadata.tables["node_keys"]))).one()
    assert (token.uses_left, token.revoked_at_ms) == (1, None)
    assert (key.public_key, key.replaces, key.first_used_at_ms) == ("AAAA", None, None)


async def test_a_step_back_and_forth_keeps_what_was_there_before(first_version):
    await migrate(first_version)
    async with first_version.write() as connection:
        await connection.run_sync(step, "downgrade", "0001")
    async with first_version.read() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert "device_codes" not in tables
        for table, row in BEFORE.items():
            query = text(f"SELECT * FROM {table}")
            kept = (await connection.execute(query)).mappings().one()
            assert {name: kept[name] for name in row} == row
            columns = await connection.run_sync(
                lambda sync, table=table: inspect(sync).get_columns(table)
            )
            assert "machine" not in {column["name"] for column in columns}
    await migrate(first_version)

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with first_version.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_of_a_later_version_is_left_alone(database):
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="later version"):
        await migrate(database)


async def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path):
    (tmp_path / "x").write_bytes(b"not a database" * 100)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/x")
    with pytest.raises(ConfigError, match="file is not a database"):
        await migrate(database)
    await database.close()


def test_the_tables_can_be_made_in_postgresql():
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=postgresql.dialect()))

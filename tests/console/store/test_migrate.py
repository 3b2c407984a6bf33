from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from byoi_console.errors import ConfigError
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


async def test_two_processes_may_start_at_once(database_url):
    databases = [Database(database_url) for _ in range(2)]
    async with asyncio.TaskGroup() as tasks:
        for database in databases:
            tasks.create_task(migrate(database))
    async with databases[0].read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert {*metadata.tables, "alembic_version"} == set(names)
    for database in databases:
        await database.close()


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

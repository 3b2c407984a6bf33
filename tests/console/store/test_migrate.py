from __future__ import annotations

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

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
    databases = [Database(database_url) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for database in databases:
            tasks.create_task(migrate(database))
    async with databases[0].read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert {*metadata.tables, "alembic_version"} == set(names)
    for database in databases:
        await database.close()


def test_the_tables_can_be_made_in_postgresql():
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=postgresql.dialect()))

from __future__ import annotations

import asyncio
import stat

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from byoi_console.errors import ConfigError
from byoi_console.store.database import Database, hold_lock
from byoi_console.store.tables import console_state


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)],
)
async def test_sqlite_is_set_up_for_durability_and_company(database, pragma, value):
    async with database.read() as connection:
        found = (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one()
    assert found == value


async def test_the_files_are_for_their_owner_only(database, tmp_path):
    async with database.write() as connection:
        await connection.execute(insert(console_state).values(name="a", value="b"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {"console.sqlite3", "console.sqlite3-wal", "console.sqlite3-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_block_that_raises_leaves_nothing(database):
    async def fail():
        async with database.write() as connection:
            await connection.execute(insert(console_state).values(name="a", value="b"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.read() as connection:
        assert (await connection.execute(select(console_state))).all() == []


async def test_a_cancelled_write_leaves_nothing_and_blocks_nobody(database):
    begun = asyncio.Event()

    async def hang():
        async with database.write() as connection:
            await connection.execute(insert(console_state).values(name="a", value="b"))
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(hang())
        await begun.wait()
        task.cancel()
    async with database.write() as connection:
        await connection.execute(insert(console_state).values(name="a", value="c"))


async def test_read_then_write_in_one_transaction_is_never_lost_to_another(database, database_url):
    """Two processes that each add one, twenty times, end at forty."""
    async with database.write() as connection:
        await connection.execute(insert(console_state).values(name="n", value="0"))
    other = Database(database_url)

    async def add(which):
        for _ in range(20):
            async with which.write() as connection:
                await hold_lock(connection, "n")
                value = (await connection.execute(select(console_state.c.value))).scalar_one()
                await connection.execute(update(console_state).values(value=str(int(value) + 1)))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(add(database))
        tasks.create_task(add(other))
    async with database.read() as connection:
        assert (await connection.execute(select(console_state.c.value))).scalar_one() == "40"
    await other.close()


async def test_foreign_keys_are_enforced(database):
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(
                text("INSERT INTO members (person_id, org_id, role) VALUES ('a', 'b', 'admin')")
            )


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite+aiosqlite://", "sqlite:///:memory:"])
def test_what_is_no_usable_database_is_a_wrong_setting(url):
    with pytest.raises(ConfigError):
        Database(url)


def test_a_folder_that_cannot_be_written_is_a_wrong_setting(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError):
        Database(f"sqlite+aiosqlite:///{blocked}/console.sqlite3")


@pytest.mark.parametrize("url", ["nonsense", "postgresql://host:port/db", "postgresql://[::1/db"])
def test_what_is_no_url_is_refused_in_words(url):
    with pytest.raises(ConfigError, match="not a database URL"):
        Database(url)

from __future__ import annotations

import pytest

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.organisations import first_organisation
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate


class FakeClock:
    """Wall and monotonic time that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def database_url(tmp_path):
    return f"sqlite+aiosqlite:///{tmp_path}/console.sqlite3"


@pytest.fixture
async def database(database_url):
    """A real, migrated SQLite file."""
    database = Database(database_url)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def audit(database):
    return AuditLog(database)


@pytest.fixture
async def org_id(database):
    async with database.write() as connection:
        return await first_organisation(connection, "example.org", 0)

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from byoi_console.accounts.keys import ApiKeys
from byoi_console.accounts.passwords import Passwords
from byoi_console.accounts.people import People


@pytest.fixture
def keys(database, audit, clock):
    return ApiKeys(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic)


@pytest.fixture
def people(database, audit, clock):
    # A real hash takes its time on purpose.
    quick = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return People(database, audit, passwords=quick, now_ms=clock.now_ms, monotonic=clock.monotonic)

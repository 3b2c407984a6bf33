from __future__ import annotations

import pytest

from byoi_console.accounts.keys import ApiKeys
from byoi_console.accounts.people import People


@pytest.fixture
def keys(database, audit, clock):
    return ApiKeys(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic)


@pytest.fixture
def people(database, audit, clock):
    return People(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic)

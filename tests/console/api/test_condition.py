from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from byoi_console.api.condition import Condition
from byoi_console.routing.registry import Registry
from byoi_console.telemetry.metrics import Tally


@pytest.fixture
def state():
    """What the rooms say; a test changes it."""
    return SimpleNamespace(is_stopping=False, requests=3, pending=2, wrong={"api_key": 4})


@pytest.fixture
def ledger():
    booked = SimpleNamespace(postings=7, claims=6, differences=1)
    return SimpleNamespace(is_healthy=True, booked=booked, waiting=5, refused=1)


@pytest.fixture
def condition(database, ledger, state):
    return Condition(
        database,
        ledger,
        Registry(),
        Tally(),
        is_stopping=lambda: state.is_stopping,
        requests_open=lambda: state.requests,
        postings_pending=lambda: state.pending,
        wrong_credentials=lambda: state.wrong,
    )


async def test_a_console_that_can_serve_and_book_is_ready(condition):
    assert await condition.why_not_ready() is None


async def test_it_is_not_ready_while_it_stops(condition, state):
    state.is_stopping = True
    assert await condition.why_not_ready() == "stopping"


async def test_it_is_not_ready_while_nothing_can_be_booked(condition, ledger):
    ledger.is_healthy = False
    assert await condition.why_not_ready() == "the ledger cannot be written"


async def test_it_is_not_ready_without_its_database(condition, database, monkeypatch):
    def unreadable():
        raise OperationalError("SELECT 1", {}, Exception("disk I/O error"))

    monkeypatch.setattr(database, "read", unreadable)
    assert await condition.why_not_ready() == "the database cannot be read"


async def test_its_numbers_are_those_of_its_rooms(condition, ledger):
    ledger.is_healthy = False
    body, kind = await condition.metrics(None)
    assert kind.startswith("text/plain")
    lines = body.decode().splitlines()
    for line in (
        "ready 0.0",
        "requests_open 3.0",
        "postings_pending 2.0",
        "ledger_queue_entries 5.0",
    ):
        assert f"byoi_console_{line}" in lines
    assert any("wrong_credentials" in line and line.endswith(" 4.0") for line in lines)

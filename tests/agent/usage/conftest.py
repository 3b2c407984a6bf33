from __future__ import annotations

import asyncio
import heapq
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.telemetry.health import Health
from byoi_agent.usage.outbox import Outbox
from byoi_wire.ids import KeyId, ModelId, NodeId, RequestId
from byoi_wire.usage import Usage, UsageRecord, sign

KEY = Ed25519PrivateKey.generate()


class FakeClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    async def sleep_until(self, at: float) -> None:
        if at > self.now:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (at, next(self._order), future))
            await future

    def advance(self, seconds: float) -> None:
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


def make_record(number: int = 1, **changes) -> UsageRecord:
    facts = {
        "request_id": RequestId(f"req-{number}"),
        "attempt": 1,
        "ticket": "ticket",
        "node_id": NodeId("node"),
        "model": ModelId("small"),
        "route": "/v1/chat/completions",
        "outcome": "complete",
        "status": 200,
        "usage": Usage(prompt_tokens=10, completion_tokens=5, cached_tokens=4),
        "counted_by": "engine",
        "started_at_ms": 1_800_000_000_000,
        "duration_ms": 12.5,
    }
    return UsageRecord(**{**facts, **changes})


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def public_key():
    return KEY.public_key()


@pytest.fixture
def new_outbox(tmp_path, clock, health):
    def make(**options) -> Outbox:
        return Outbox(
            tmp_path / "state" / "usage.db",
            sign=lambda record: sign(record, KeyId("key-1"), KEY),
            clock=clock,
            health=health,
            **options,
        )

    return make


@pytest.fixture
async def outbox(new_outbox):
    async with new_outbox() as outbox:
        yield outbox

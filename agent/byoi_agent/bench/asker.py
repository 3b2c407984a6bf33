"""Sends the benchmark's requests to an engine, no more at once than a node would."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from byoi_agent.bench.reader import AnswerReader
    from byoi_agent.engine.client import EngineClient

_PATH: Final = "/v1/chat/completions"
_HEADERS: Final = {"content-type": "application/json", "accept": "text/event-stream"}


class EngineAsker:
    """One engine, asked through its client; see `supervisor.Asker`.

    Where its `slots` are known, more requests wait here, first come first served, as they wait at
    a node: an engine that had to queue them itself might have no connection left to be looked at
    by, and be taken for dead. The time to their first token holds that wait.
    """

    def __init__(self, client: EngineClient, slots: int | None = None) -> None:
        self._client = client
        self._slot = nullcontext() if slots is None else asyncio.Semaphore(slots)

    async def __call__(self, request: bytes, reader: AnswerReader) -> None:
        """Until the answer is over; what fails is in the answer."""
        async with self._slot:
            await self._ask(request, reader)

    async def _ask(self, request: bytes, reader: AnswerReader) -> None:
        try:
            exchange = await self._client.send("POST", _PATH, _HEADERS, request, reader)
        except EngineError as error:
            reader.failed(error)
            return
        try:
            await reader.is_over.wait()  # bounded by the level that it belongs to
        finally:
            exchange.abort()

"""Sends the benchmark's requests by the same client that serves a node's guests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from byoi_agent.bench.reader import AnswerReader
    from byoi_agent.engine.client import EngineClient

_PATH: Final = "/v1/chat/completions"
_HEADERS: Final = {"content-type": "application/json", "accept": "text/event-stream"}


class EngineAsker:
    """One engine, asked through its client; see `supervisor.Asker`."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    async def __call__(self, request: bytes, reader: AnswerReader) -> None:
        """Until the answer is over; what fails is in the answer."""
        try:
            exchange = await self._client.send("POST", _PATH, _HEADERS, request, reader)
        except EngineError as error:
            reader.failed(error)
            return
        try:
            await reader.is_over.wait()  # bounded by the level that it belongs to
        finally:
            exchange.abort()

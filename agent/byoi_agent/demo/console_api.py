"""The console's HTTP API as the demo uses it: keys, join tokens, models, one streamed chat."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.errors import AgentError, EngineError
from byoi_wire.http.sse import EventSplitter, data_of, events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

CALL_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 120.0
"""Longest wait for the next piece of an answer: a small machine may think that long before one."""


class ConsoleAnswered(AgentError):
    """The console refused, or cannot be reached; the message says why."""


class ConsoleApi:
    """One key's view of the console, over the HTTP client that engines are spoken to with."""

    def __init__(self, url: str, key: str) -> None:
        self._client = EngineClient(EngineAddress.parse(url, key))

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """One request and its JSON answer.

        Raises:
            ConsoleAnswered: it is no success.
        """
        data = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await self._client.fetch(method, path, data, timeout_seconds=CALL_SECONDS)
        except EngineError as error:
            raise ConsoleAnswered(f"the console does not answer {method} {path}") from error
        if answer.status >= 300:  # noqa: PLR2004 the end of HTTP's successes
            raise ConsoleAnswered(_message(answer.status, answer.body))
        content: dict[str, Any] = json.loads(answer.body)
        return content

    async def chat(self, model: str, prompt: str) -> AsyncGenerator[str, None]:
        """The answer's text, piece by piece as it comes.

        Raises:
            ConsoleAnswered: a refusal, an error in mid-stream, or an answer that breaks off.
        """
        body = {
            "model": model,
            "stream": True,
            "temperature": 0,  # the same answer each time
            "max_tokens": 512,  # a small model may not find an end by itself
            "messages": [{"role": "user", "content": prompt}],
        }
        is_complete = False
        async with aclosing(self._events("/v1/chat/completions", body)) as answer:
            async for event in answer:
                if event == b"[DONE]":
                    is_complete = True
                    continue
                content = json.loads(event)
                if "error" in content:
                    raise ConsoleAnswered(f"the answer broke off: {content['error']['message']}")
                for choice in content.get("choices", ()):
                    if text := choice.get("delta", {}).get("content"):
                        yield text
        if not is_complete:
            raise ConsoleAnswered("the answer broke off without a reason")

    async def _events(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[bytes, None]:
        stream = _Stream()
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        try:
            exchange = await self._client.send(
                "POST", path, headers, json.dumps(body).encode(), stream
            )
        except EngineError as error:
            raise ConsoleAnswered(f"the console does not answer POST {path}") from error
        try:
            splitter = EventSplitter()
            async for piece in stream.pieces():
                for event in events(splitter.feed(piece)):
                    if data := data_of(event):
                        yield data
        finally:
            exchange.abort()


class _Stream:
    """An answer under way: what the client's callbacks bring, in order, for one reader."""

    def __init__(self) -> None:
        # Unbounded: the demo asks for one short answer.
        self._came: asyncio.Queue[bytes | ConsoleAnswered | None] = asyncio.Queue()
        self._status = 0
        self._refusal = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body's pieces until its end."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await self._came.get()
            except TimeoutError:
                raise ConsoleAnswered(f"no word for {SILENCE_SECONDS:.0f} s") from None
            if piece is None:
                return
            if isinstance(piece, ConsoleAnswered):
                raise piece
            yield piece

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        self._status = status

    def body_received(self, data: bytes) -> None:
        if self._status == 200:  # noqa: PLR2004 OK
            self._came.put_nowait(data)
        else:
            self._refusal += data

    def body_ended(self) -> None:
        if self._status == 200:  # noqa: PLR2004 OK
            self._came.put_nowait(None)
        else:
            self._came.put_nowait(ConsoleAnswered(_message(self._status, self._refusal)))

    def failed(self, error: EngineError) -> None:
        del error  # it speaks of an engine
        self._came.put_nowait(ConsoleAnswered("the connection to the console broke"))


def _message(status: int, body: bytes) -> str:
    try:
        return f"the console refused ({status}): {json.loads(body)['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"the console answered with status {status}"

"""An answer that goes on: server-sent events, until nothing is left to say or nobody listens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    Say = Callable[[bytes], Awaitable[None]]
    Tell = Callable[[Say], Awaitable[None]]

COMMENT: Final = b":\n\n"
"""Means nothing: it keeps proxies from taking a quiet stream for a dead one."""


class EventStream(Response):
    """Gives what `tell` says, and ends with it; a client that leaves ends `tell` at once.

    `tell` is cancelled then. What it says waits for a client that reads slowly.
    """

    media_type = "text/event-stream"

    def __init__(
        self, tell: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        self.status_code = 200
        self.background = None
        self._tell = tell
        # nginx would gather the events for a while otherwise.
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """As ASGI has it."""
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            async with asyncio.TaskGroup() as tasks:
                await send(head)
                telling = tasks.create_task(self._run(send), name="events")
                leaving = tasks.create_task(_left(receive), name="until the client leaves")
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
                telling.cancel()
                leaving.cancel()
        except* OSError:
            pass  # it left in the middle of an event

    async def _run(self, send: Send) -> None:
        async def say(event: bytes) -> None:
            await send({"type": "http.response.body", "body": event, "more_body": True})

        await say(COMMENT)  # the head leaves with it: the client knows that it is heard
        await self._tell(say)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def event(name: str, data: Mapping[str, object]) -> bytes:
    """One event with `data` as JSON, which has no line break of its own."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

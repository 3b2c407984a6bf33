"""Keeps open pages as the node is: their parts, rendered here, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

from byoi_agent.control.leaving import has_left
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from byoi_agent.control.events import Events

    Look = Callable[[web.Request], Awaitable["Parts"]]

logger = logging.getLogger(__name__)

WAIT_SECONDS: Final = 1.0
QUIET_WAITS: Final = 15
"""So many waits without news, then a comment: it shows whether anybody still listens."""
WRITE_SECONDS: Final = 20.0
_WANTS: Final = ("status", "pull")
_COMMENT: Final = b":\n\n"


class Parts(dict[str, str]):
    """What may have changed of a page: HTML by the id that it stands under.

    `order`, where it is given, is which rows of the page's list there are now.
    """

    def __init__(self, parts: Mapping[str, str], order: Iterable[str] | None = None) -> None:
        super().__init__(parts)
        self.order = None if order is None else tuple(order)

    def news_since(self, before: Parts) -> bytes:
        """What has changed, as an event; nothing where nothing has."""
        changed = {name: html for name, html in self.items() if before.get(name) != html}
        if not changed and self.order == before.order:
            return b""
        data = json.dumps({"parts": changed, "order": self.order}, separators=(",", ":"))
        return f"event: parts\ndata: {data}\n\n".encode()


async def tell(request: web.Request, events: Events, look: Look) -> web.StreamResponse:
    """One page's stream, until it leaves or the node ends: a look upon each event.

    Where a look is refused the stream ends as well: its page opens it anew after a while.

    Raises:
        Refusal: too many listen, or the node ends.
    """
    with events.reading(_WANTS) as feed:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        before, quiet = Parts({}), QUIET_WAITS
        try:
            await _write(response, _COMMENT)
            while not feed.is_closed and not has_left(request):
                found = await look(request)
                quiet = await _say(response, found.news_since(before), quiet)
                before = found
                while not (await feed.take(WAIT_SECONDS) or feed.is_closed or has_left(request)):
                    quiet = await _say(response, b"", quiet)
        except (ConnectionError, TimeoutError):
            pass  # it left, or takes nothing any more
        except AgentError as error:
            logger.info("page not kept up", extra={"path": request.path, "reason": str(error)})
        return response


async def _say(response: web.StreamResponse, news: bytes, quiet: int) -> int:
    """Tell the news, or from time to time that there are none; how often there were none since."""
    if not news and quiet < QUIET_WAITS:
        return quiet + 1
    await _write(response, news or _COMMENT)
    return 0


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(data)

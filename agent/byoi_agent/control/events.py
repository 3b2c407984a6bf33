"""Tells whoever listens what happens on the node, as server-sent events.

A reader that is slow gets the newest status instead of each; one that takes nothing is cut; at the
node's end all of them end, so that an open page holds nothing up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from byoi_agent.control.feed import Event, Feed
from byoi_agent.control.leaving import has_left
from byoi_agent.control.routing import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator

    from byoi_agent.control.schema import StatusReport

MOST_READERS: Final = 32
STATUS: Final = "status"
_MEDIA: Final = "text/event-stream"
Show = Callable[[Event], tuple[str, str]]
"""An event's name and text, as one reader gets it; a text's lines end with a line feed."""


@dataclass(frozen=True)
class Pace:
    """Seconds: between statuses at least, between signs of life, for one write, for one stream.

    A stream that ends is opened again by its browser, which thereby shows that it still may.
    """

    status: float = 1.0
    look: float = 1.0
    alive: float = 15.0
    write: float = 20.0
    stream: float = 3600.0


def as_json(event: Event) -> tuple[str, str]:
    """The event as programs read it."""
    return event.name, event.data.model_dump_json()


class Events:
    """Sole owner of the readers."""

    def __init__(
        self,
        status: Callable[[], Awaitable[StatusReport]],
        subscribe: Callable[[Callable[[object], None]], Callable[[], None]],
        pace: Pace | None = None,
    ) -> None:
        self._status = status
        self._subscribe = subscribe
        self._pace = pace or Pace()
        self._feeds: set[Feed] = set()
        self._changed = asyncio.Event()
        self._told: StatusReport | None = None
        self._is_over = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens."""
        return not self._feeds

    async def run(self) -> None:
        """Until cancelled: the status upon a change and once a second, while somebody listens."""
        unsubscribe = self._subscribe(lambda _view: self._changed.set())
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.look):
                        await self._changed.wait()
                self._changed.clear()
                if any(STATUS in feed.wants for feed in self._feeds):
                    await self._tell_status()
                    await asyncio.sleep(self._pace.status)
        finally:
            unsubscribe()

    def put(self, event: Event) -> None:
        """Tell everybody who wants such events; on the loop's thread."""
        for feed in self._feeds:
            feed.put(event)

    def close(self) -> None:
        """All streams end; new ones are refused."""
        self._is_over = True
        for feed in self._feeds:
            feed.close()

    @contextmanager
    def reading(self, wants: Iterable[str], least_level: int = 0) -> Iterator[Feed]:
        """A reader's feed, for as long as it reads.

        Raises:
            Refusal: 503: there are too many, or the node ends.
        """
        if self._is_over or len(self._feeds) >= MOST_READERS:
            raise Refusal(503, "too many pages listen to this node, or it ends; close one")
        feed = Feed(wants, least_level)
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)

    async def stream(
        self,
        request: web.Request,
        wants: Iterable[str],
        show: Show = as_json,
        first: Iterable[Event] = (),
        least_level: int = 0,
    ) -> web.StreamResponse:
        """Answer with events until the reader leaves; the first are `first`, then the status.

        Lines of the log come from `least_level` on.

        Raises:
            Refusal: as `reading`.
        """
        with self.reading(wants, least_level) as feed:
            response = web.StreamResponse(
                headers={"Content-Type": _MEDIA, "X-Accel-Buffering": "no"}
            )
            for event in first:
                feed.put(event)
            if STATUS in feed.wants:
                feed.put(_status_event(await self._status()))
                self._told = None  # the others had it before: what is as then may be news here
            await response.prepare(request)
            with suppress(ConnectionError, TimeoutError):
                await self._write_all(request, response, feed, show)
            return response

    async def _write_all(
        self, request: web.Request, response: web.StreamResponse, feed: Feed, show: Show
    ) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._pace.stream
        spoke_at = loop.time()
        while not has_left(request):
            events = await feed.take(self._pace.look)
            text = "".join(_text(*show(event)) for event in events)
            if not text and loop.time() - spoke_at >= self._pace.alive:
                text = ": still here\n\n"
            if text:
                async with asyncio.timeout(self._pace.write):
                    await response.write(text.encode())
                spoke_at = loop.time()
            if feed.is_closed or loop.time() >= ends_at:  # never before the first was told
                return

    async def _tell_status(self) -> None:
        report = await self._status()
        if self._told is None or _without_time(report) != _without_time(self._told):
            self.put(_status_event(report))
        self._told = report


def _status_event(report: StatusReport) -> Event:
    return Event(STATUS, report, key=STATUS)


def _without_time(report: StatusReport) -> StatusReport:
    return report.model_copy(update={"uptime_seconds": 0.0})


def _text(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\n{lines}\n"

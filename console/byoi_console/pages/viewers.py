"""Who looks at live pages now: one look a second serves all viewers of an organisation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from byoi_wire.ids import OrgId

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 5
"""How often it is looked whether those who look are still signed in."""

VIEWERS_LIMIT: Final = 256
VIEWERS_OF_ONE: Final = 12
"""Pages of one browser; it opens six connections itself, and as many through another name."""

Picture = TypeVar("Picture")


class Viewer(Generic[Picture]):
    """One open page: the newest picture, whether it shall end, and whether for want of a sign-in.

    A viewer that is slow misses pictures in between, never the newest one, and holds up nobody.
    """

    def __init__(self, org_id: OrgId, sign_in_id: str, picture: Picture) -> None:
        self.org_id = org_id
        self.sign_in_id = sign_in_id
        self.picture = picture
        self.is_over = False
        self.is_stranger = False
        self._news = asyncio.Event()

    async def news(self, seconds: float) -> bool:
        """Wait for another picture or the end; False where neither came in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        has_news = self._news.is_set()
        self._news.clear()
        return has_news

    def show(self, picture: Picture) -> None:
        """The newest picture; one that is the same is no news."""
        if picture != self.picture:
            self.picture = picture
            self._news.set()

    def end(self, *, is_stranger: bool = False) -> None:
        """There is nothing more to see here, or nothing for somebody who is not signed in."""
        self.is_over = True
        self.is_stranger = is_stranger
        self._news.set()


class Viewers(Generic[Picture]):
    """Sole owner of the viewers and of the looking; while nobody looks, nothing is asked.

    Args:
        look: makes an organisation's picture.
        living: which of these sign-ins have not ended; the viewers of the others are sent away.
        sleep: for tests.
    """

    def __init__(
        self,
        look: Callable[[OrgId], Awaitable[Picture]],
        living: Callable[[Collection[str]], Awaitable[Collection[str]]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._look = look
        self._living = living
        self._sleep = sleep
        self._viewers: set[Viewer[Picture]] = set()
        self._somebody = asyncio.Event()
        self._is_closed = False
        self._is_well = True

    async def run(self) -> None:
        """Until cancelled: look once a second while somebody is there to see it."""
        looks = 0
        while True:
            await self._somebody.wait()
            await self._sleep(LOOK_SECONDS)
            looks += 1
            try:
                await self._show()
                if looks % CHECK_SECONDS == 0:
                    await self._send_away()
            except SQLAlchemyError as error:
                if self._is_well:
                    logger.warning("live pages stand still", extra={"why": str(error)})
                self._is_well = False
            else:
                self._is_well = True

    def close(self) -> None:
        """The console stops: every viewer ends, so that nobody waits for their answers."""
        self._is_closed = True
        for viewer in self._viewers:
            viewer.end()

    def has_room(self, sign_in_id: str) -> bool:
        """Whether one more page of this browser may look."""
        of_one = sum(viewer.sign_in_id == sign_in_id for viewer in self._viewers)
        is_full = len(self._viewers) >= VIEWERS_LIMIT or of_one >= VIEWERS_OF_ONE
        return not (self._is_closed or is_full)

    @contextlib.asynccontextmanager
    async def viewer(self, org_id: OrgId, sign_in_id: str) -> AsyncIterator[Viewer[Picture]]:
        """Look as long as the context lasts; the first picture is there at once."""
        viewer = Viewer(org_id, sign_in_id, await self._look(org_id))
        if self._is_closed:
            viewer.end()
        self._viewers.add(viewer)
        self._somebody.set()
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._somebody.clear()

    # Who comes while something is awaited was not asked about, and has a newer picture.

    async def _show(self) -> None:
        here = tuple(self._viewers)
        for org_id in {viewer.org_id for viewer in here}:
            picture = await self._look(org_id)
            for viewer in here:
                if viewer.org_id == org_id:
                    viewer.show(picture)

    async def _send_away(self) -> None:
        here = tuple(self._viewers)
        living = await self._living({viewer.sign_in_id for viewer in here})
        for viewer in here:
            if viewer.sign_in_id not in living:
                viewer.end(is_stranger=True)

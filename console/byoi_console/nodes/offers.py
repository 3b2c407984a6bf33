"""Which models each node offers, written down: after a restart they are away, not unknown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_console.nodes.records import NodeRecords
    from byoi_wire.ids import NodeId

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.5
"""Nodes that come back together are written together."""

AGAIN_SECONDS: Final = 10.0
_KNOWN: Final = 10_000
_MOST: Final = 1_000
"""Models that are kept of a node that names ever more of them while it rests."""


class Offers:
    """Sole owner of what is still to be written; of each node only its last word counts."""

    def __init__(self, records: NodeRecords) -> None:
        self._records = records
        self._written: dict[NodeId, tuple[str, ...]] = {}
        self._waiting: dict[NodeId, tuple[str, ...]] = {}
        self._news = asyncio.Event()

    def heard(self, node_id: NodeId, models: Sequence[str], *, serves: bool = True) -> None:
        """A node says what it offers; mostly that is what it offered before.

        One that begins or rests may offer nothing, or not all: what it had is what it may come
        back with.
        """
        if not models:
            return
        had = () if serves else self._waiting.get(node_id, self._written.get(node_id, ()))
        had = had if len(had) < _MOST else ()
        offered = tuple(sorted({*models, *had}))
        if self._written.get(node_id) != offered or node_id in self._waiting:
            self._waiting[node_id] = offered
            self._news.set()

    async def run(self) -> None:
        """Until cancelled; a database that refuses is asked again, and told of once.

        What has not been written then still is, if it takes it at once.
        """
        try:
            await self._keep_writing()
        finally:
            with contextlib.suppress(SQLAlchemyError):
                if self._waiting:
                    await self.write()

    async def _keep_writing(self) -> None:
        is_well = True
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS if is_well else AGAIN_SECONDS)
            try:
                await self.write()
            except SQLAlchemyError as error:
                if is_well:
                    logger.warning("offers not written", extra={"why": str(error)})
                is_well = False
            else:
                is_well = True

    async def write(self) -> None:
        """Write what waits.

        Raises:
            SQLAlchemyError: the database refused; it waits on.
        """
        self._news.clear()
        batch, self._waiting = self._waiting, {}
        if len(self._written) > _KNOWN:
            self._written.clear()
        self._written.update(batch)  # or will be: what is heard meanwhile is held against it
        try:
            await self._records.offer(batch)
        except (SQLAlchemyError, asyncio.CancelledError):
            self._waiting = {**batch, **self._waiting}
            self._news.set()
            raise

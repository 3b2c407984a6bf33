"""What the console says of itself to whoever watches it: whether it can serve, and its numbers."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from byoi_console.nodes.census import census
from byoi_console.telemetry.metrics import Facts, exposition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_console.ledger.postings import Ledger
    from byoi_console.routing.registry import Registry
    from byoi_console.store.database import Database
    from byoi_console.telemetry.metrics import Tally


class Condition:
    """Asks the rooms at each look; keeps nothing.

    `is_stopping`: whether the console takes nothing new. `requests_open` and `postings_pending`
    are the gateway's counts, `wrong_credentials` the refused ones by their kind since the start.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        registry: Registry,
        tally: Tally,
        *,
        is_stopping: Callable[[], bool],
        requests_open: Callable[[], int],
        postings_pending: Callable[[], int],
        wrong_credentials: Callable[[], Mapping[str, int]],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._registry = registry
        self._tally = tally
        self._is_stopping = is_stopping
        self._requests_open = requests_open
        self._postings_pending = postings_pending
        self._wrong_credentials = wrong_credentials

    async def why_not_ready(self) -> str | None:
        """None when requests can be served and booked, else the reason in a few words."""
        if self._is_stopping():
            return "stopping"
        if not self._ledger.is_healthy:
            return "the ledger cannot be written"
        try:
            async with self._database.read() as connection:
                await connection.execute(select(1))
        except SQLAlchemyError:
            return "the database cannot be read"
        return None

    async def metrics(self, accept: str | None) -> tuple[bytes, str]:
        """A scrape's answer and its content type, from an Accept header."""
        return exposition(self._tally, await self._facts(), accept)

    async def _facts(self) -> Facts:
        ledger, registry = self._ledger, self._registry
        booked = ledger.booked
        live = [found for node in registry.live() if (found := registry.facts(node)) is not None]
        return Facts(
            version=version("byoi-console"),
            is_ready=await self.why_not_ready() is None,
            requests_open=self._requests_open(),
            streams_open=sum(node.in_flight for node in live),
            links=sum(1 for node in live if node.connected),
            nodes=await census(self._database, registry),
            postings_pending=self._postings_pending(),
            ledger_waiting=ledger.waiting,
            ledger_is_healthy=ledger.is_healthy,
            postings=booked.postings,
            claims=booked.claims,
            claims_refused=ledger.refused,
            differences=booked.differences,
            wrong_credentials=self._wrong_credentials(),
        )

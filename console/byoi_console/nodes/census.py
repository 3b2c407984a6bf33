"""How many nodes there are, by what they do now: for metrics, not for any single owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from byoi_console.store.tables import nodes

if TYPE_CHECKING:
    from byoi_console.routing.registry import LiveFacts, Registry
    from byoi_console.store.database import Database


async def census(database: Database, registry: Registry) -> dict[str, int]:
    """Counts of enrolled nodes by state, every state named.

    `serving` takes requests, `paused` has a link and takes none (its owner's wish, or an admin's),
    `resuming` has lost its link a moment ago, `offline` is all the rest that is not revoked.
    """
    standing = nodes.c.deleted_at_ms.is_(None) & nodes.c.revoked_at_ms.is_(None)
    async with database.read() as connection:
        enrolled = await connection.scalar(select(func.count()).where(standing)) or 0
    states = dict.fromkeys(("serving", "paused", "resuming", "offline"), 0)
    live = [facts for node in registry.live() if (facts := registry.facts(node)) is not None]
    for facts in live:
        states[_state(facts)] += 1
    # A node revoked a moment ago may still be live: never less than none.
    states["offline"] = max(0, enrolled - len(live))
    return states


def _state(facts: LiveFacts) -> str:
    if not facts.connected:
        return "resuming"
    return "serving" if facts.is_serving else "paused"

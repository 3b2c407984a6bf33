"""Records that no console will book any more: of a place that was given back or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.usage.report import reading
from byoi_agent.usage.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

_AT_ONCE: Final = 1000


def count_waiting(path: Path) -> int:
    """How many records in the file the console has not booked; also while a node runs.

    Raises:
        UsageUnreadable: the file is there and cannot be read.
    """
    if not path.is_file():
        return 0
    with reading(path) as database:
        waiting = "SELECT count(*) FROM records WHERE acknowledged_at IS NULL"
        return int(database.execute(waiting).fetchone()[0])


def give_up(path: Path, now: float) -> int:
    """Owe them to nobody any more; they stay in the owner's figures. Returns how many.

    The next console would take the link away from a node that sends another node's records. Only
    whoever has the state lock may call this.

    Raises:
        StorageUnavailable: the file cannot be written now.
    """
    if not path.is_file():
        return 0
    storage, count = Storage(path), 0
    storage.open()
    try:
        while waiting := storage.waiting(_AT_ONCE, after=0):
            storage.acknowledge([row.record_id for row in waiting], now)
            count += len(waiting)
    finally:
        storage.close()
    return count

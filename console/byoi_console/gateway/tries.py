"""How often a request may be tried, and at which nodes again; time is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from byoi_wire.ids import NodeId

ATTEMPTS_LIMIT: Final = 4
RECLAIMS_LIMIT: Final = 16
"""Owners who come back are nobody's fault, and do not come back so often within one answer."""


class Tries:
    """Sole owner of the count of one request's attempts.

    An owner who takes the machine back uses up no attempt, and neither does the time that was spent
    there: of those there may be sixteen besides. Times are monotonic seconds.
    """

    __slots__ = ("_again", "_free_seconds", "_reclaims", "_started_at", "_tried", "number")

    def __init__(self, started_at: float) -> None:
        self.number = 0
        self._started_at = started_at
        self._tried: frozenset[NodeId] = frozenset()
        self._again: frozenset[NodeId] = frozenset()
        self._reclaims = 0
        self._free_seconds = 0.0

    @property
    def tried(self) -> frozenset[NodeId]:
        """Nodes that had it."""
        return self._tried

    @property
    def lost_for_good(self) -> frozenset[NodeId]:
        """Those of them that are not asked again, even where no other is left."""
        return self._tried - self._again

    def begin(self, node_id: NodeId) -> int:
        """One more attempt, at that node; its number, from 1."""
        self.number += 1
        self._tried |= {node_id}
        return self.number

    def ended(self, node_id: NodeId, *, may_return: bool) -> None:
        """It came to nothing there; `may_return`: that node is as good as any once it is back."""
        if may_return:
            self._again |= {node_id}

    def excuse(self, seconds: float) -> None:
        """So long nothing failed: the request waited there, or was being answered."""
        self._free_seconds += seconds

    def reclaimed(self, seconds: float) -> None:
        """The owner took the machine back after so long."""
        self._reclaims += 1
        self._free_seconds += seconds

    def is_spent(self, now: float, failover_seconds: float) -> bool:
        """Whether no further attempt may begin."""
        if not self.number:
            return False
        failed_seconds = now - self._started_at - self._free_seconds
        return not self.has_attempts or failed_seconds > failover_seconds

    @property
    def has_attempts(self) -> bool:
        """Whether another attempt is left, whatever the time."""
        return self.number - self._reclaims < ATTEMPTS_LIMIT and self._reclaims <= RECLAIMS_LIMIT

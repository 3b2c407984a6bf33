"""Which nodes hand back again and again what they were given, since their owners return. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from byoi_wire.ids import NodeId

HALF_LIFE_SECONDS: Final = 900.0
"""After so long a return of the owner counts half."""

SAME_SECONDS: Final = 5.0
"""All that runs is handed back when one owner returns: within this it is one return."""

_SHARE: Final = 0.25
_ONCE: Final = 1.0


class HandBacks:
    """Sole owner of how often the owners of nodes came back to answers under way, lately.

    Nobody is thought less of for one return. Each more within the last quarters of an hour makes a
    node count as a quarter fuller than it is, never as more than full: what is begun there is
    likely to be begun again elsewhere. Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._nodes: dict[NodeId, tuple[float, float]] = {}

    def add(self, node_id: NodeId, now: float) -> None:
        """It has handed back an answer."""
        count, at = self._nodes.get(node_id, (0.0, -SAME_SECONDS))
        if count and now - at < SAME_SECONDS:
            return
        self._nodes[node_id] = (_decayed(count, now - at) + 1.0, now)

    def share(self, node_id: NodeId, now: float) -> float:
        """By which share, from 0 to 1, the node is to count as fuller than it is."""
        known = self._nodes.get(node_id)
        if known is None:
            return 0.0
        left = _decayed(known[0], now - known[1])
        return min(1.0, max(0.0, left - _ONCE) * _SHARE)

    def forget(self, node_id: NodeId) -> None:
        """It is a node of ours no more."""
        self._nodes.pop(node_id, None)


def _decayed(count: float, seconds: float) -> float:
    halvings: float = 0.5 ** (seconds / HALF_LIFE_SECONDS)
    return count * halvings

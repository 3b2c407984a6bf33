"""How many tokens a second each node answers with: those of the answers that ended lately. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from byoi_wire.ids import NodeId

WINDOW_SECONDS: Final = 60


class Throughput:
    """Sole owner of what each node has answered within the last minute.

    An answer counts whole in the second in which it ended, so a single long one shows late and
    then at once; nothing is guessed in between. A node takes one number per second at most.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._nodes: dict[NodeId, deque[tuple[int, int]]] = {}

    def add(self, node_id: NodeId, tokens: int, now: float) -> None:
        """An answer of that many tokens has just ended."""
        if tokens <= 0:
            return
        seconds = self._nodes.setdefault(node_id, deque())
        if seconds and seconds[-1][0] == int(now):
            tokens += seconds.pop()[1]
        seconds.append((int(now), tokens))
        _forget(seconds, now)

    def per_second(self, node_id: NodeId, now: float) -> float:
        """Tokens of the answers that ended within the last minute, over its sixty seconds."""
        seconds = self._nodes.get(node_id)
        if seconds is None:
            return 0.0
        _forget(seconds, now)
        if not seconds:
            del self._nodes[node_id]
        return sum(tokens for _, tokens in seconds) / WINDOW_SECONDS


def _forget(seconds: deque[tuple[int, int]], now: float) -> None:
    while seconds and seconds[0][0] <= now - WINDOW_SECONDS:
        seconds.popleft()

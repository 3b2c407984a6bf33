"""The order in which nodes are tried for one request. Pure: facts in, order out."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from byoi_wire.ids import NodeId
    from byoi_wire.offers import ModelOffer


@dataclass(frozen=True)
class Candidate:
    """A live node that offers the model, as it is at this moment.

    `slots` run at once, `queue` more may wait there, `in_flight` were given to it and are not
    over.
    """

    node_id: NodeId
    model: ModelOffer
    slots: int
    queue: int
    in_flight: int
    connected: bool

    @property
    def has_room(self) -> bool:
        """Whether one more request would be taken rather than refused."""
        return self.in_flight < self.slots + self.queue


def choose(
    candidates: Sequence[Candidate], tried: frozenset[NodeId], spread: int
) -> tuple[NodeId, ...]:
    """Least busy first: the smallest share of its slots in flight.

    Nodes that were tried, are not connected, or have no room are left out. Ties are kept in the
    candidates' order, rotated by `spread` (any number), so that equals share the load.
    """
    usable = [each for each in candidates if each.connected and each.has_room]
    usable = [each for each in usable if each.node_id not in tried]
    if not usable:
        return ()
    start = spread % len(usable)
    turned = usable[start:] + usable[:start]
    return tuple(each.node_id for each in sorted(turned, key=_load))


def near_matches(model: str, known: Iterable[str]) -> tuple[str, ...]:
    """At most three known models that a caller may have meant by `model`."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(model.lower(), by_lower, n=3, cutoff=0.6)
    return tuple(by_lower[name] for name in near)


def _load(candidate: Candidate) -> float:
    # A node without slots of its own only queues: it comes after all that can start at once.
    return candidate.in_flight / candidate.slots if candidate.slots else float("inf")

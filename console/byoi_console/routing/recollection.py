"""What nodes have offered: which models may come back, and which nobody waits for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from byoi_wire.ids import ModelId, NodeId, OrgId

GIVEN_UP_SECONDS: Final = 3600.0
"""What a node that serves has not offered for so long, it has no more: the largest model is loaded
by then, and an engine that failed was started again or given up."""

_LIMIT: Final = 1_000
"""Models that are remembered of one node; beyond that the one offered longest ago is forgotten."""


class _Memory(NamedTuple):
    """Each model with the time since which the node serves without offering it; None: it may."""

    owner: OrgId
    missed_since: dict[ModelId, float | None]


class Recollection:
    """Sole owner of what nodes have offered, be they here or not. Times are monotonic seconds.

    A node that is away may come back with all that it had, and so may one at rest.
    """

    def __init__(self) -> None:
        self._nodes: dict[NodeId, _Memory] = {}

    def recall(self, node_id: NodeId, owner: OrgId, models: Iterable[ModelId]) -> None:
        """A node has these, or had them when it was last here."""
        known = self._nodes.setdefault(node_id, _Memory(owner, {})).missed_since
        for model in models:
            known.pop(model, None)
            known[model] = None
        for model in tuple(known)[: max(0, len(known) - _LIMIT)]:
            del known[model]

    def serves(self, node_id: NodeId, owner: OrgId, models: Iterable[ModelId], now: float) -> None:
        """A node that takes requests offers these and no others, from `now` on."""
        self._give_up(node_id, now)
        self.recall(node_id, owner, offered := frozenset(models))
        known = self._nodes[node_id].missed_since
        for model in known.keys() - offered:
            if known[model] is None:
                known[model] = now

    def rests(self, node_id: NodeId, now: float) -> None:
        """It is away, or takes nothing: that it offers a model no more says nothing meanwhile."""
        self._give_up(node_id, now)
        if node_id in self._nodes:
            known = self._nodes[node_id].missed_since
            known.update(dict.fromkeys(known))

    def forget(self, node_id: NodeId) -> None:
        """It was revoked or has left for good."""
        self._nodes.pop(node_id, None)

    def who_had(self, model: ModelId, org_id: OrgId, now: float) -> Iterator[NodeId]:
        """The organisation's nodes that may come back with it, or have it."""
        for node_id, (owner, known) in self._nodes.items():
            if owner == org_id and model in known and not _is_given_up(known[model], now):
                yield node_id

    def _give_up(self, node_id: NodeId, now: float) -> None:
        if node_id in self._nodes:
            known = self._nodes[node_id].missed_since
            for model in [each for each, since in known.items() if _is_given_up(since, now)]:
                del known[model]


def _is_given_up(missed_since: float | None, now: float) -> bool:
    return missed_since is not None and now - missed_since >= GIVEN_UP_SECONDS

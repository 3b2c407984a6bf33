"""What nodes have offered: which models may come back, and which nobody waits for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from byoi_wire.ids import ModelId, NodeId, OrgId

GIVEN_UP_SECONDS: Final = 25 * 3600.0
"""What a node has served without for so long, it has no more. More than a day, as what a tariff
makes run at a loss is offered again at another hour; the largest model is loaded by then, and an
engine that failed was started again or given up."""

_LIMIT: Final = 1_000
"""Models that are remembered of one node; beyond that the one offered longest ago is forgotten."""


class _Missed(NamedTuple):
    """How long a node has served without a model: `seconds`, and from `since` on; None: paused."""

    seconds: float = 0.0
    since: float | None = None

    def until(self, now: float) -> float:
        return self.seconds if self.since is None else self.seconds + now - self.since


class _Memory(NamedTuple):
    owner: OrgId
    missed: dict[ModelId, _Missed]


class Recollection:
    """Sole owner of what nodes have offered, be they here or not. Times are monotonic seconds.

    A node that is away may come back with all that it had, and so may one at rest.
    """

    def __init__(self) -> None:
        self._nodes: dict[NodeId, _Memory] = {}

    def recall(self, node_id: NodeId, owner: OrgId, models: Iterable[ModelId]) -> None:
        """A node has these, or had them when it was last here."""
        known = self._nodes.setdefault(node_id, _Memory(owner, {})).missed
        for model in models:
            known.pop(model, None)
            known[model] = _Missed()
        for model in tuple(known)[: max(0, len(known) - _LIMIT)]:
            del known[model]

    def serves(self, node_id: NodeId, owner: OrgId, models: Iterable[ModelId], now: float) -> None:
        """A node that takes requests offers these and no others, from `now` on."""
        self._give_up(node_id, now)
        self.recall(node_id, owner, offered := frozenset(models))
        known = self._nodes[node_id].missed
        for model in known.keys() - offered:
            if known[model].since is None:
                known[model] = known[model]._replace(since=now)

    def rests(self, node_id: NodeId, now: float) -> None:
        """It is away, or takes nothing: that it offers a model no more says nothing meanwhile.

        What it has served without before counts on when it serves again.
        """
        self._give_up(node_id, now)
        if node_id in self._nodes:
            known = self._nodes[node_id].missed
            known.update({model: _Missed(missed.until(now)) for model, missed in known.items()})

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
            known = self._nodes[node_id].missed
            for model in [each for each, missed in known.items() if _is_given_up(missed, now)]:
                del known[model]


def _is_given_up(missed: _Missed, now: float) -> bool:
    return missed.until(now) >= GIVEN_UP_SECONDS

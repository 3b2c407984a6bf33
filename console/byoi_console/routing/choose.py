"""The order in which nodes are tried for one request. Pure: facts in, order out."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, log
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from byoi_wire.ids import ModelId, NodeId
    from byoi_wire.offers import ModelOffer

_UNKNOWN_LOAD_SECONDS: Final = 60.0
"""What a load is taken for that was never measured: longer than most small models', so that a node
which knows better is asked first, and not so long that it is never asked."""

_ANSWER_TOKENS: Final = 256
"""What an answer is taken for, to tell how long a queue takes at a measured speed."""

_TRUSTED_RATIO: Final = 16.0
_LEAST_SPEED: Final = 1e-6
_NOTICEABLE: Final = 1.25
"""Speeds that differ by less are the same: two benchmarks of one machine differ by so much."""


@dataclass(frozen=True)
class Candidate:
    """A live node that offers the model, as it is at this moment.

    `slots` run at once, `queue` more may wait there, `in_flight` were given to it and are not
    over: all counted for this model and those that share its engine, where the node tells them
    apart, else for the whole node. `restless` is the share by which it counts as fuller than that,
    as its owner comes back again and again (`HandBacks`).
    """

    node_id: NodeId
    model: ModelOffer
    slots: int
    queue: int
    in_flight: int
    connected: bool
    restless: float = 0.0

    @property
    def group(self) -> ModelId:
        """The model whose engine it is: adapters run with their base."""
        return group_of(self.model)

    @property
    def has_room(self) -> bool:
        """Whether one more request would be taken rather than refused."""
        return self.in_flight < self.slots + self.queue


def choose(
    candidates: Sequence[Candidate], tried: frozenset[NodeId], spread: int
) -> tuple[Candidate, ...]:
    """Where the model is loaded first, then the least busy for what it can do.

    Busy is the share of a node's capacity that is in flight; a node that was measured twice as fast
    as another takes twice its load, and one that was never measured counts as a middling one. One
    whose owner came back to answers again and again lately counts as fuller, at most as full. Of
    equals the one that answers a single request fastest comes first. Where the model is not loaded,
    the node that loads it soonest comes first; also before one where it is loaded, but whose queue,
    by what was measured there, takes longer than that.

    Nodes that were tried, are not connected, or have no room are left out. Ties are kept in the
    candidates' order, rotated by `spread` (any number), so that equals share the load.
    """
    usable = [each for each in candidates if each.connected and each.has_room]
    usable = [each for each in usable if each.node_id not in tried]
    if not usable:
        return ()
    start = spread % len(usable)
    turned = usable[start:] + usable[:start]
    field = _Field.of(usable)
    return tuple(sorted(turned, key=field.rank))


def group_of(offer: ModelOffer) -> ModelId:
    """What its requests are counted under at a node."""
    return offer.base or offer.id


def near_matches(model: str, known: Iterable[str]) -> tuple[str, ...]:
    """At most three known models that a caller may have meant by `model`."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(model.lower(), by_lower, n=3, cutoff=0.6)
    return tuple(by_lower[name] for name in near)


class _Field(NamedTuple):
    """What a middling candidate is like, where any was measured."""

    slot_speed: float | None
    lone_speed: float | None
    soonest_load: float

    @classmethod
    def of(cls, candidates: Sequence[Candidate]) -> _Field:
        """Of these candidates; a lower middle, so that no number is made of two."""
        found = [(each.model.measured, each.slots) for each in candidates]
        loads = (_load_seconds(each.model) for each in candidates if not each.model.is_loaded)
        soonest = min(loads, default=inf)
        slots = sorted(m.knee_tokens_per_second / max(1, n) for m, n in found if m is not None)
        lone = sorted(m.decode_tokens_per_second for m, _ in found if m is not None)
        middle = (len(slots) - 1) // 2
        return cls(slots[middle], lone[middle], soonest) if slots else cls(None, None, soonest)

    def rank(self, candidate: Candidate) -> tuple[bool, float, float, int]:
        """Its place in the order: smaller is better."""
        if candidate.model.is_loaded:
            seconds = _queue_seconds(candidate)
            waits = seconds > self.soonest_load
        else:
            seconds, waits = _load_seconds(candidate.model), True
        return (
            waits,
            seconds if waits else 0.0,
            self._busy(candidate),
            self._slowness(candidate),
        )

    def _busy(self, candidate: Candidate) -> float:
        if not candidate.slots:  # it only queues: after all that can start at once
            return inf
        measured = candidate.model.measured
        speed = 1.0
        if measured is not None and self.slot_speed is not None:
            speed = _ratio(measured.knee_tokens_per_second / candidate.slots, self.slot_speed)
        return candidate.in_flight / (candidate.slots * speed) + candidate.restless

    def _slowness(self, candidate: Candidate) -> int:
        measured = candidate.model.measured
        if measured is None or self.lone_speed is None:
            return 0
        return -round(log(_ratio(measured.decode_tokens_per_second, self.lone_speed), _NOTICEABLE))


def _load_seconds(model: ModelOffer) -> float:
    return _UNKNOWN_LOAD_SECONDS if model.load_seconds is None else model.load_seconds


def _queue_seconds(candidate: Candidate) -> float:
    """How long one more request waits for a slot; nothing where the node was never measured."""
    measured = candidate.model.measured
    ahead = candidate.in_flight + 1 - candidate.slots
    if measured is None or ahead <= 0:
        return 0.0
    return ahead * _ANSWER_TOKENS / max(measured.knee_tokens_per_second, _LEAST_SPEED)


def _ratio(speed: float, middling: float) -> float:
    """How much faster; bounded, as what a node says of itself must not send everything there."""
    return min(_TRUSTED_RATIO, max(1 / _TRUSTED_RATIO, speed / max(middling, _LEAST_SPEED)))

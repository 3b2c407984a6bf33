"""What people see of a node: its record, its link and what it does now, in one frozen picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from byoi_console.nodes.presence import presence
from byoi_wire.version import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from byoi_console.nodes.records import NodeRecord
    from byoi_console.routing.registry import LiveFacts
    from byoi_wire.ids import NodeId
    from byoi_wire.offers import Device

State = Literal["online", "reconnecting", "unknown", "offline", "revoked"]

EXPLAINED: Final[dict[State, str]] = {
    "online": "A link leads to it now.",
    "reconnecting": "Its link broke a moment ago; it is expected back.",
    "unknown": "Its link broke, and it did not come back in time.",
    "offline": "It never connected, or it said goodbye.",
    "revoked": "Its key proves nothing any more: it cannot connect.",
}

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True)
class DeviceView:
    """Devices of one kind in a node; memory in bytes, of all of them together."""

    name: str
    count: int
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    driver: str | None


@dataclass(frozen=True)
class ModelView:
    """A model that it serves now."""

    id: str
    engine: str
    context_tokens: int | None


@dataclass(frozen=True)
class NodeView:
    """One node; two views that are equal look the same.

    When it was last seen counts by whole `minutes_away` (None: it was never here), so that a quiet
    node does not look new each second. `note` says in a few words why it takes no requests although
    it is there.
    """

    node_id: NodeId
    name: str
    state: State
    is_drained: bool
    note: str
    minutes_away: int | None
    seen_at_ms: int | None = field(compare=False)
    devices: tuple[DeviceView, ...]
    models: tuple[ModelView, ...]
    in_flight: int
    slots: int
    waiting: int
    tokens_per_second: float
    agent_version: str

    @property
    def is_live(self) -> bool:
        """Whether what it offers and does is known now."""
        return self.state in {"online", "reconnecting"} and self.slots > 0

    @property
    def explanation(self) -> str:
        """What its state means."""
        return EXPLAINED[self.state]

    @property
    def load_percent(self) -> int:
        """How much of its places are taken."""
        return min(100, round(100 * self.in_flight / self.slots)) if self.slots else 0


def view_of(
    record: NodeRecord, facts: LiveFacts | None, tokens_per_second: float, now_ms: int
) -> NodeView:
    """The picture of a node at this moment (Unix milliseconds)."""
    state = state_of(record, facts, now_ms)
    seen = now_ms if state == "online" else record.last_seen_at_ms
    offered = None if facts is None else facts.advertise
    status = None if facts is None else facts.status
    return NodeView(
        node_id=record.node_id,
        name=record.name,
        state=state,
        is_drained=record.drained_at_ms is not None,
        note=_note(record, facts),
        minutes_away=None if seen is None else max(0, now_ms - seen) // _MINUTE_MS,
        seen_at_ms=seen,
        devices=() if offered is None else _devices(offered.devices, facts),
        models=()
        if offered is None
        else tuple(ModelView(m.id, m.engine, m.context_tokens) for m in offered.models),
        in_flight=0 if facts is None else facts.in_flight,
        slots=0 if offered is None else offered.slots,
        waiting=0 if status is None else status.waiting,
        tokens_per_second=round(tokens_per_second, 1),
        agent_version="" if offered is None else offered.agent_version,
    )


def state_of(record: NodeRecord, facts: LiveFacts | None, now_ms: int) -> State:
    """A node's state in one word; a revoked one is that and nothing else."""
    if record.is_revoked:
        return "revoked"
    seen = record.last_seen_at_ms
    return presence(
        is_live=facts is not None,
        is_connected=facts is not None and facts.connected,
        has_departed=record.has_departed,
        seconds_since_seen=None if seen is None else (now_ms - seen) / 1000,
        lease_seconds=LEASE_SECONDS,
    )


def _note(record: NodeRecord, facts: LiveFacts | None) -> str:
    if facts is None or facts.is_serving or record.drained_at_ms is not None:
        return ""
    return f"takes no requests: {facts.reason}" if facts.reason else "takes no requests"


def _devices(devices: Sequence[Device], facts: LiveFacts | None) -> tuple[DeviceView, ...]:
    """Equal devices in one line; memory in use is the newest that the node told."""
    told = facts.status.memory_used_bytes if facts is not None and facts.status is not None else ()
    used = [
        told[at] if at < len(told) else device.memory_used_bytes
        for at, device in enumerate(devices)
    ]
    kinds: dict[str, list[tuple[Device, int | None]]] = {}
    for device, in_use in zip(devices, used, strict=True):
        kinds.setdefault(device.name, []).append((device, in_use))
    return tuple(
        DeviceView(
            name=name,
            count=len(those),
            memory_total_bytes=_sum(device.memory_total_bytes for device, _ in those),
            memory_used_bytes=_sum(in_use for _, in_use in those),
            driver=those[0][0].driver_version,
        )
        for name, those in kinds.items()
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """None where one of them is not known."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)

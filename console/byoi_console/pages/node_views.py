"""What people see of a node: its record, its link and what it does now, in one frozen picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from byoi_console.nodes.availability import availability_of
from byoi_console.nodes.presence import presence
from byoi_wire.version import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from byoi_console.nodes.availability import AvailabilityState
    from byoi_console.nodes.pin_states import PinState
    from byoi_console.nodes.pins import Pin
    from byoi_console.nodes.records import NodeRecord
    from byoi_console.routing.registry import LiveFacts
    from byoi_wire.ids import NodeId
    from byoi_wire.messages import Status
    from byoi_wire.offers import Device, Measured, ModelOffer, Prices

Value = TypeVar("Value", int, float)

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
    """Devices of one kind in a node; memory in bytes and power in watts, of all of them together.

    The temperature is that of the hottest, in degrees Celsius.
    """

    name: str
    count: int
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    driver: str | None
    power_watts: int | None = None
    power_limit_watts: int | None = None
    celsius: int | None = None


@dataclass(frozen=True)
class ModelView:
    """A model that it serves, now or once it has loaded it; `base` is what an adapter lies over."""

    id: str
    engine: str
    context_tokens: int | None
    is_loaded: bool = True
    load_seconds: float | None = None
    base: str | None = None
    prices: Prices | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class PinView:
    """Whether it is the organisation's alone, by whose word, and since when (Unix milliseconds)."""

    state: PinState
    is_open: bool
    by: str
    at_ms: int


@dataclass(frozen=True)
class NodeView:
    """One node; two views that are equal look the same.

    `availability` is None while nothing is known of it, and `until_ms` is when it serves again by
    the clock.

    When it was last seen counts by whole `minutes_away` (None: it was never here), so that a quiet
    node does not look new each second. `note` says in a few words why it takes no requests although
    it is there. `is_restless`: its owner came back to answers again and again lately.
    """

    node_id: NodeId
    name: str
    state: State
    is_drained: bool
    availability: AvailabilityState | None
    note: str
    until_ms: int | None
    pin: PinView | None
    minutes_away: int | None
    seen_at_ms: int | None = field(compare=False)
    devices: tuple[DeviceView, ...]
    models: tuple[ModelView, ...]
    in_flight: int
    slots: int
    waiting: int
    tokens_per_second: float
    agent_version: str
    is_restless: bool = False

    @property
    def is_live(self) -> bool:
        """Whether what it offers and does is known now."""
        return self.state in {"online", "reconnecting"} and self.slots > 0

    @property
    def is_resting(self) -> bool:
        """Whether it is there and takes no requests."""
        return self.state == "online" and self.availability not in {None, "serving"}

    @property
    def explanation(self) -> str:
        """What its state means."""
        return EXPLAINED[self.state]

    @property
    def load_percent(self) -> int:
        """How much of its places are taken."""
        return min(100, round(100 * self.in_flight / self.slots)) if self.slots else 0


def view_of(
    record: NodeRecord,
    facts: LiveFacts | None,
    tokens_per_second: float,
    now_ms: int,
    pin: Pin | None = None,
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
        availability=None if facts is None else availability_of(facts),
        note=_note(record, facts),
        until_ms=None if facts is None or facts.is_serving else facts.availability.until_ms,
        pin=None if pin is None else _pin(pin),
        minutes_away=None if seen is None else max(0, now_ms - seen) // _MINUTE_MS,
        seen_at_ms=seen,
        devices=() if offered is None else _devices(offered.devices, facts),
        models=() if offered is None else tuple(map(_model, offered.models)),
        in_flight=0 if facts is None else facts.in_flight,
        slots=0 if offered is None else offered.slots,
        waiting=0 if status is None else status.waiting,
        tokens_per_second=round(tokens_per_second, 1),
        agent_version="" if offered is None else offered.agent_version,
        is_restless=facts is not None and facts.restless > 0,
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


def _pin(pin: Pin) -> PinView:
    by, at_ms = pin.asked_by, pin.asked_at_ms
    if pin.answered_at_ms is not None:
        by, at_ms = pin.answered_by or "", pin.answered_at_ms
    if pin.ended_at_ms is not None:
        by, at_ms = "", pin.ended_at_ms
    return PinView(pin.state, pin.is_open, by, at_ms)


def _note(record: NodeRecord, facts: LiveFacts | None) -> str:
    if facts is None or facts.is_serving or record.drained_at_ms is not None:
        return ""
    return f"takes no requests: {facts.reason}" if facts.reason else "takes no requests"


def _devices(devices: Sequence[Device], facts: LiveFacts | None) -> tuple[DeviceView, ...]:
    """Equal devices in one line; memory in use is the newest that the node told."""
    status = None if facts is None else facts.status
    kinds: dict[str, list[_Reading]] = {}
    for at, device in enumerate(devices):
        kinds.setdefault(device.name, []).append(_reading(device, at, status))
    return tuple(_kind(name, those) for name, those in kinds.items())


class _Reading(NamedTuple):
    device: Device
    memory_used_bytes: int | None
    power_watts: float | None
    celsius: float | None


def _reading(device: Device, at: int, status: Status | None) -> _Reading:
    if status is None:
        return _Reading(device, device.memory_used_bytes, None, None)
    return _Reading(
        device,
        _at(status.memory_used_bytes, at, device.memory_used_bytes),
        _at(status.power_watts, at),
        _at(status.temperatures_celsius, at),
    )


def _kind(name: str, those: Sequence[_Reading]) -> DeviceView:
    """Power and heat in whole numbers, so that a quiet device looks the same for a while."""
    hottest = max((one.celsius for one in those if one.celsius is not None), default=None)
    return DeviceView(
        name=name,
        count=len(those),
        memory_total_bytes=_sum(one.device.memory_total_bytes for one in those),
        memory_used_bytes=_sum(one.memory_used_bytes for one in those),
        driver=those[0].device.driver_version,
        power_watts=_whole(_sum(one.power_watts for one in those)),
        power_limit_watts=_whole(_sum(one.device.power_limit_watts for one in those)),
        celsius=_whole(hottest),
    )


def _model(offer: ModelOffer) -> ModelView:
    return ModelView(
        id=offer.id,
        engine=offer.engine,
        context_tokens=offer.context_tokens,
        is_loaded=offer.is_loaded,
        load_seconds=offer.load_seconds,
        base=offer.base,
        prices=offer.prices,
        measured=offer.measured,
    )


def _at(values: Sequence[Value | None], at: int, otherwise: Value | None = None) -> Value | None:
    return values[at] if at < len(values) else otherwise


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _sum(values: Iterable[Value | None]) -> Value | None:
    """None where one of them is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(found) else None

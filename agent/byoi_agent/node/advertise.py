"""What the console is told of a view: pure, and only when it is news."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from byoi_agent.availability.words import BY_CLOCK, TO_OTHERS
from byoi_wire.messages import Advertise, Availability, Status
from byoi_wire.offers import Device, Host, ModelOffer
from byoi_wire.version import MODELS_LIMIT, MODELS_LIMIT_BYTES

if TYPE_CHECKING:
    from byoi_agent.engine.view import EngineView, ServedModel
    from byoi_agent.node.view import NodeView

_STEP: Final = 16
"""Free memory and disk are news when they move by a sixteenth of the whole; they always move."""

_LEAST_QUEUE: Final = 32

_Slots = TypeVar("_Slots", int, int | None)

_UNKNOWN_HOST: Final = Host(os="unknown", architecture="unknown")


def build(view: NodeView) -> Advertise:
    """All that the node offers; models and slots only while its engine is ready."""
    engine = view.engine if view.engine is not None and view.engine.state == "ready" else None
    slots = _left(slots_of(view), sum(_kept(each, view) for each in view.engines))
    return Advertise(
        version=view.offer_version,
        agent_version=view.agent_version,
        host=view.host or _UNKNOWN_HOST,
        devices=tuple(device.to_wire() for device in view.devices),
        models=() if engine is None else _offers(engine, view),
        slots=slots,
        queue=queue_of(view),
    )


def unoffered(view: NodeView, offer: Advertise) -> int:
    """How many models the engine has beyond those that can be told to a console."""
    return (
        len(_offered(view.engine, view)) - len(offer.models)
        if view.engine and slots_of(view)
        else 0
    )


def status(view: NodeView) -> Status:
    """How busy the node is."""
    return Status(
        running=view.load.running - view.load.own_running,
        waiting=view.load.waiting - view.load.own_waiting,
        memory_used_bytes=tuple(device.memory_used_bytes for device in view.devices),
        temperatures_celsius=tuple(device.temperature_celsius for device in view.devices),
        power_watts=tuple(device.power_watts for device in view.devices),
    )


def availability(view: NodeView) -> Availability:
    """Whether the node serves by its owner's wishes; what its owner does there stays here."""
    now = view.availability
    if now.is_serving:
        return Availability(serving=True, mode=now.mode)
    code, reason = TO_OTHERS.get(now.code, ("away", "does not serve now"))
    until = now.until if code in BY_CLOCK else None
    return Availability(
        serving=False,
        reason=reason,
        code=code,
        mode=now.mode,
        is_paused=now.is_paused,
        until_ms=None if until is None else round(until * 1000),
    )


def slots_of(view: NodeView) -> int:
    """Requests that run at once: the engines', unless the owner allows fewer.

    Where no model is loaded, those of the one that takes most: nothing runs, but all can be asked.
    """
    if view.engine is None or view.engine.state != "ready":
        return 0
    unloaded = (model.slots or 0 for model in view.engine.models if not model.is_loaded)
    slots = view.engine.slots or max(unloaded, default=0)
    return slots if view.slots is None else min(view.slots, slots)


def queue_of(view: NodeView) -> int:
    """Requests that may wait for each model: the owner's number, else four a slot, at least 32.

    A single node must take the bursts that its applications make; where there is another with a
    free slot, the console goes there first.
    """
    slots = slots_of(view)
    if not slots:
        return 0
    return max(_LEAST_QUEUE, 4 * slots) if view.queue is None else view.queue


def is_news(told: Advertise, now: Advertise) -> bool:
    """Whether the console has to hear of `now`, having been told `told` before."""
    return (
        told.models != now.models
        or (told.slots, told.queue, told.agent_version) != (now.slots, now.queue, now.agent_version)
        or tuple(map(_fixed_device, told.devices)) != tuple(map(_fixed_device, now.devices))
        or _fixed_host(told.host) != _fixed_host(now.host)
        or _has_moved(told.host, now.host)
    )


def engine_name(kind: str, version: str | None) -> str:
    """An engine with its version: what was measured holds for just this one."""
    return f"{kind} {version}" if version else kind


def _offers(engine: EngineView, view: NodeView) -> tuple[ModelOffer, ...]:
    """The models in their own order, as many as a console takes of one node."""
    offers: list[ModelOffer] = []
    left_bytes = MODELS_LIMIT_BYTES
    engines = {model.id: own for own in reversed(view.engines) for model in own.models}
    for model in _offered(engine, view)[:MODELS_LIMIT]:
        own = engines.get(model.id, engine)
        name = engine_name(own.kind, own.version)
        offer = ModelOffer(
            id=model.id,
            engine=own.kind,
            routes=model.routes,
            context_tokens=model.context_tokens,
            created_at=model.created_at,
            features=model.features,
            is_loaded=model.is_loaded,
            load_seconds=model.load_seconds,
            slots=_left(_at_most(model.slots, view.slots), _kept(own, view)),
            base=model.base,
            prices=view.prices.of(model.id),
            measured=view.measured.get((model.id, name)),
        )
        left_bytes -= len(offer.model_dump_json())
        if left_bytes < 0:
            break
        offers.append(offer)
    return tuple(offers)


def _offered(engine: EngineView, view: NodeView) -> list[ServedModel]:
    """Without those whose requests would be sent back: so the console asks others at once."""
    return [model for model in engine.models if model.id not in view.at_a_loss]


def _kept(engine: EngineView, view: NodeView) -> int:
    """Slots of an engine that are the owner's now; his own seats are no slots of others."""
    return max(0, view.held.get(engine.key, 0) - engine.own_seats)


def _left(slots: _Slots, held: int) -> _Slots:
    """Slots without those that the owner uses himself; one is left, so that others can wait."""
    return slots if not slots else max(1, slots - held)


def _at_most(slots: int | None, limit: int | None) -> int | None:
    """An engine's slots within the owner's limit; None where the node's number holds."""
    return slots if slots is None or limit is None else min(slots, limit)


def _fixed_device(device: Device) -> Device:
    return device.model_copy(update={"memory_used_bytes": None})  # goes with each status


def _fixed_host(host: Host) -> Host:
    return host.model_copy(update={"memory_available_bytes": None, "disk_free_bytes": None})


def _has_moved(told: Host, now: Host) -> bool:
    memory_step = (now.memory_total_bytes or 0) // _STEP
    disk_step = (told.disk_free_bytes or 0) // _STEP
    return _differs(
        told.memory_available_bytes, now.memory_available_bytes, memory_step
    ) or _differs(told.disk_free_bytes, now.disk_free_bytes, disk_step)


def _differs(told: int | None, now: int | None, step: int) -> bool:
    if told is None or now is None:
        return told != now
    return abs(told - now) > step

"""Why a model does not fit, and what would make it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.planning.explain import size
from byoi_agent.planning.fit import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.fit import Plan
    from byoi_agent.planning.machines import PlanDevice

_COUNTS: Final = (2, 3, 4, 6, 8, 16, 32)
"""How many cards people put together."""


def reasons(
    found: Plan, devices: Sequence[PlanDevice], packed: Sequence[ModelFacts] = ()
) -> list[str]:
    """Sentences for the owner; none where it fits. `packed` is the model in other quantisations."""
    if found.fits:
        return []
    if found.layout is None:
        return [*found.reasons, "say what you mean to have: --gpu 'NAME:GiB'"]
    room = found.room_bytes // len(found.devices)
    told = [_why(found, room)]
    told += _smaller(found, devices)
    told += _packed(found, devices, packed)
    told += _more(found)
    return told


def _why(found: Plan, room: int) -> str:
    need = found.need
    place = "the roomiest layout here" if len(found.devices) > 1 else found.devices[0].name
    if need.weights * found.correction.factor > room:
        return f"the weights alone take {size(need.weights)} a device, and {place} has {size(room)}"
    total = need.total(found.concurrency) * found.correction.factor
    return (
        f"with {found.context_tokens:,} tokens for {found.concurrency} at once it takes "
        f"{size(total)} a device, and {place} has {size(room)}"
    )


def _smaller(found: Plan, devices: Sequence[PlanDevice]) -> list[str]:
    wish = found.wish
    told = []
    if wish.context_tokens is not None:
        shorter = plan(found.facts, devices, replace(wish, context_tokens=None), found.correction)
        if shorter.fits:
            told.append(f"a shorter context would: --context {shorter.context_tokens}")
    if (wish.concurrency or 1) > 1:
        fewer = plan(found.facts, devices, replace(wish, concurrency=None), found.correction)
        if fewer.fits:
            told.append(f"fewer requests at once would: --concurrency {fewer.concurrency}")
    return told


def _packed(found: Plan, devices: Sequence[PlanDevice], packed: Sequence[ModelFacts]) -> list[str]:
    for facts in packed:
        other = plan(facts, devices, found.wish, found.correction)
        if other.fits:
            return [
                f"quantised it would: as {facts.quantisation} its weights take "
                f"{size(facts.weight_bytes)} (--quantisation {facts.quantisation})"
            ]
    return []


def _more(found: Plan) -> list[str]:
    device = found.devices[0]
    if device.is_cpu:
        return []
    for count in _COUNTS:
        if count <= len(found.devices):
            continue
        many = [replace(device, index=index) for index in range(count)]
        if plan(found.facts, many, found.wish, found.correction).fits:
            return [f"more devices would: {count} x {device.name}"]

    return [f"not even {_COUNTS[-1]} x {device.name} would"]

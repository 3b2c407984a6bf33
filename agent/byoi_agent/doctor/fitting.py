"""Whether each model that the settings mean will fit, before it is loaded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import failed, ok, skipped, warned
from byoi_agent.engine.entries import entries_of
from byoi_agent.engine.estimate import reckon
from byoi_agent.engine.kinds.choice import is_managed
from byoi_agent.errors import AgentError
from byoi_agent.hardware.host import read_memory
from byoi_agent.sizes import in_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient
    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.estimate import Reckoning
    from byoi_agent.hardware.devices import DeviceReading

_NAME: Final = "fit"
_TITLE: Final = "Fit"


async def check(patient: Patient) -> list[Finding]:
    """Each model by itself: where they do not fit together, they take turns.

    What is reckoned is held against all the memory there is where the node runs, as its models may
    lie in it already, else also against what is free.
    """
    reading = await patient.probe.read()
    return await asyncio.to_thread(_all, patient, reading.devices)


def _all(patient: Patient, devices: Sequence[DeviceReading]) -> list[Finding]:
    try:
        entries = entries_of(patient.settings, patient.paths)
    except AgentError:
        return []  # the check of the engine tells why
    return [_one(patient, entry, devices) for entry in entries if is_managed(entry.settings.engine)]


def _one(patient: Patient, entry: Entry, devices: Sequence[DeviceReading]) -> Finding:
    found = reckon(entry.settings, patient.paths, devices)
    if found is None:
        text = f"{entry.key or 'the model'} is not here yet, or tells too little of itself"
        return skipped(_NAME, _TITLE, text)
    return finding(entry, found, _room(found, devices), is_running=patient.node is not None)


def finding(entry: Entry, found: Reckoning, room: tuple[int, int], *, is_running: bool) -> Finding:
    """`room` is how many bytes there are, and how many of them are free."""
    need, (total, free) = entry.memory_bytes or found.memory_bytes, room
    where = "of the accelerators" if found.is_on_devices else "of memory"
    takes = f"{found.model} takes about {in_memory(need)} {where}"
    mend = f"less context_tokens or slots, or a smaller model; byoi plan serve {found.model} tells"
    if need > total:
        return failed(_NAME, _TITLE, f"{takes}, and there are {in_memory(total)}", mend)
    if not is_running and need > free:
        mend = f"end what else uses it, or: {mend}"
        return warned(_NAME, _TITLE, f"{takes}, and {in_memory(free)} are free now", mend)
    return ok(_NAME, _TITLE, f"{takes}, and there are {in_memory(total)}")


def _room(found: Reckoning, devices: Sequence[DeviceReading]) -> tuple[int, int]:
    if not found.is_on_devices:
        memory = read_memory()
        return memory.total_bytes, memory.free_bytes
    cards = [one for card in devices if (one := card.for_engine()) and one.kind != "cpu"]
    total = sum(card.memory_total_bytes or 0 for card in cards)
    return total, total - sum(card.memory_used_bytes or 0 for card in cards)

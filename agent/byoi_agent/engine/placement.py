"""Which GPUs each engine gets where its owner named none; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from byoi_agent.engine.entries import Entry
    from byoi_agent.hardware.devices import DeviceReading

Places = Mapping[tuple[str, int], tuple[int, ...]]
"""GPUs by an engine's key and edition: another one of the same key may have another place."""


def place_of(entry: Entry) -> tuple[str, int]:
    """What its place is kept under."""
    return entry.key, entry.edition


def free_bytes(devices: Iterable[DeviceReading]) -> dict[int, int]:
    """What nobody has taken of each GPU that a vLLM can use, by its number."""
    found: dict[int, int] = {}
    for card in devices:
        device = card.for_engine()
        if device is not None and device.kind == "nvidia" and device.memory_total_bytes:
            found[device.index] = device.memory_total_bytes - (device.memory_used_bytes or 0)
    return found


def placed(
    entries: Sequence[Entry],
    free: Mapping[int, int],
    before: Places,
    need: Callable[[Entry, tuple[int, ...]], int],
) -> Places:
    """Each engine's GPUs: those with the most memory left, in the settings' order.

    `free` is what there is without any of these engines. One that has its place in `before` stays
    there, so that whoever comes later moves nobody. `need` says what an engine takes in bytes, of
    all the GPUs together. Where there are too few GPUs it gets no place.
    """
    left, places = dict(free), {}
    for one in entries:
        if its := one.gpus or before.get(place_of(one)):
            _take(left, its, need(one, its))
            places[place_of(one)] = its
    for one in entries:
        count = one.kind.uses_gpus
        if place_of(one) not in places and 0 < count <= len(left):
            roomiest = sorted(left, key=lambda index: (-left[index], index))[:count]
            its = tuple(sorted(roomiest))
            _take(left, its, need(one, its))
            places[place_of(one)] = its
    return places


def _take(left: dict[int, int], its: Sequence[int], need: int) -> None:
    for index in its:
        if index in left:
            left[index] -= need // len(its)

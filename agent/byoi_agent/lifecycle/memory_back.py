"""Whether the memory of engines is seen to be back with the machine's owner; pure.

What an engine says of itself does not count: some report their memory freed and keep most of it.
Only of a server that is not ours nothing else is known: which models it has loaded, it alone tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import GpuUses

ASLEEP_BYTES: Final = 1536 * 1024**2
"""What a sleeping engine may keep of a GPU: its context and libraries, but no weights."""

_HALF: Final = 0.5


@dataclass(frozen=True)
class Held:
    """An engine as it was when its owner wanted the machine; `pids` are all its processes.

    `is_lent` where it is a server of somebody else's, which was asked to give its memory back.
    """

    key: str
    pids: frozenset[int]
    memory_bytes: int | None = None
    is_lent: bool = False


def not_back(
    held: tuple[Held, ...],
    views: Mapping[str, EngineView],
    running: frozenset[int],
    before: GpuUses | None,
    now: GpuUses | None,
) -> tuple[str, ...]:
    """The keys of those whose memory is not seen to be back; `running` are processes."""
    return tuple(
        one.key
        for one in held
        if not (
            _says_so(views.get(one.key))
            if one.is_lent
            else _is_back(one, views.get(one.key), running, before, now)
        )
    )


def _says_so(view: EngineView | None) -> bool:
    """Whether a server has said that it holds nothing of what it was asked for."""
    return view is not None and view.state == "asleep" and view.lends


def _is_back(
    held: Held,
    view: EngineView | None,
    running: frozenset[int],
    before: GpuUses | None,
    now: GpuUses | None,
) -> bool:
    has_ended = held.pids.isdisjoint(running)
    if not has_ended and (view is None or view.state != "asleep"):
        return False
    if now is None:
        return has_ended and before is None
    of_its = [one.memory_bytes for one in now.holders if one.pid in held.pids]
    if has_ended:
        return not of_its
    if before is None:
        return False
    if None not in of_its and any(one.pid in held.pids for one in before.holders):
        return sum(size or 0 for size in of_its) <= ASLEEP_BYTES
    gained = _used(before) - _used(now)
    return held.memory_bytes is not None and gained >= _HALF * held.memory_bytes


def _used(uses: GpuUses) -> int:
    return sum(size or 0 for size in uses.used_bytes.values())

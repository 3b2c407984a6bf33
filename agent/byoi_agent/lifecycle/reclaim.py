"""Gives the machine back to its owner in the promised time, sees it come back, and returns."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.availability.reclaims import PROMISE_SECONDS, Reclaim
from byoi_agent.hardware.host import memory_holders, still_running
from byoi_agent.lifecycle.memory_back import Held, not_back

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.availability.view import AvailabilityView, ReclaimTimes, State
    from byoi_agent.clock import Clock
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import GpuUses
    from byoi_agent.lifecycle.kept_reclaims import KeptReclaims
    from byoi_agent.lifecycle.lending import Engines
    from byoi_agent.node.board import Board
    from byoi_agent.node.view import NodeView
    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

COUNT_SECONDS: Final = 0.25
"""What an engine gets so that the tokens of what it is cut from can be counted."""

KILL_SECONDS: Final = 1.0
"""From the cause until what still holds memory is killed; the rest is the system's to free it."""

LEAST_SECONDS: Final = 0.3
"""What an engine gets to leave in good order even where the cause was told late."""

DRAIN_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02
LONGEST_SECONDS: Final = 30.0
"""After this the memory counts as not given back."""

_LATE: Final = "reclaim-late"

_ANSWERS: Final = frozenset({"ready", "suspect", "draining"})
"""States of a server that is not ours in which it may have a model loaded for this node."""

_KEPT_ELSEWHERE: Final = ", a server that keeps its memory while somebody else uses its model there"
_LOOK_ELSEWHERE: Final = (
    "look what that server has loaded, and end what asks it (Ollama: ollama ps, "
    "ollama stop MODEL); more in docs/reclaim.md"
)
_LOOK_HERE: Final = "look at the engine's last lines: byoi logs; more in docs/reclaim.md"


class Door(Protocol):
    """Where requests come in; the dispatcher is it."""

    def hand_back(self, reason: str) -> None: ...  # noqa: D102
    async def idle(self, engine: str | None = None) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class _Taking:
    """One reclaim under way; times are monotonic."""

    cause: str
    begun: float
    kill_at: float
    held: tuple[Held, ...]


class Reclaimer:
    """Sole owner of what follows of a decision; in the very turn in which the board tells it.

    `uses` looks at the GPUs, and `caused_seconds_ago` says when the cause of the decision was: the
    time of a reclaim begins there, and ends when the memory is seen to be back. One that its owner
    breaks off (he has left again already) is not counted, nor one of a node that held nothing.
    """

    def __init__(
        self,
        *,
        board: Board,
        door: Door,
        engines: Engines,
        uses: Callable[[], Awaitable[GpuUses | None]],
        caused_seconds_ago: Callable[[], float],
        kept: KeptReclaims,
        told: Callable[[ReclaimTimes], None],
        health: Health,
        clock: Clock,
    ) -> None:
        self._board = board
        self._door = door
        self._engines = engines
        self._uses = uses
        self._caused_seconds_ago = caused_seconds_ago
        self._kept = kept
        self._told = told
        self._health = health
        self._clock = clock
        self._state: State = "serve"
        self._taking: _Taking | None = None
        self._changed = asyncio.Event()
        if board.view.availability.state != "serve":  # nothing is here yet, and nothing shall start
            self._state = board.view.availability.state
            engines.release(0.0)
        told(kept.all.times)
        board.subscribe(self._look)

    async def run(self) -> None:
        """Until cancelled: what of it takes time; each change of the decision breaks it off."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as tasks:
                under_way = tasks.create_task(self._follow(), name="reclaim")
                await self._changed.wait()
                under_way.cancel()

    def _look(self, view: NodeView) -> None:
        availability = view.availability
        if availability.state == self._state:
            return
        self._state, self._taking = availability.state, None
        if self._state == "yield":
            self._take_back(availability)
        elif self._state == "serve":
            self._engines.come_back()
        self._changed.set()

    def _take_back(self, availability: AvailabilityView) -> None:
        now = self._clock.monotonic()
        begun = now - self._caused_seconds_ago()
        kill_at = max(begun + KILL_SECONDS, now + LEAST_SECONDS)
        self._door.hand_back(availability.code)
        held = tuple(
            one
            for view in self._engines.views
            if view.state != "asleep" and (one := _held(view)) is not None
        )
        self._engines.release(COUNT_SECONDS, kill_at)
        self._taking = _Taking(availability.code, begun, kill_at, held)

    async def _follow(self) -> None:
        taking = self._taking
        if self._state == "drain":
            await self._door.idle()
            self._engines.release(DRAIN_SECONDS)
        elif taking is not None and taking.held:
            if (seen := await self._seen_back(taking)) is not None:
                self._conclude(taking, *seen)
            self._taking = None

    async def _seen_back(self, taking: _Taking) -> tuple[bool, str] | None:
        """Whether all of it came back, and the engine that was the last.

        None where the owner's own programs want the engines meanwhile: nothing is taken then.
        """
        before = now = await self._uses()
        last: tuple[str, ...] = ()
        is_forced = False
        pids = frozenset(pid for one in taking.held for pid in one.pids)
        while left := not_back(taking.held, self._views(), still_running(pids), before, now):
            if not self._engines.views:
                return None
            last = left
            at = self._clock.monotonic()
            if at >= taking.begun + LONGEST_SECONDS:
                return False, ", ".join(left)
            if at >= taking.kill_at and not is_forced:
                is_forced = True
                lent = {one.key for one in taking.held if one.is_lent}
                self._force(tuple(key for key in left if key not in lent))
            await self._clock.sleep_until(at + LOOK_SECONDS)
            now = await self._uses() or now
        return True, ", ".join(last)

    def _force(self, keys: tuple[str, ...]) -> None:
        """They say that they sleep and hold memory all the same, or do not obey at all."""
        if not keys:
            return
        logger.warning("engines are ended for their memory", extra={"engines": keys})
        self._engines.release(0.0, self._clock.monotonic(), last=keys)

    def _conclude(self, taking: _Taking, is_back: bool, slowest: str) -> None:
        seconds = self._clock.monotonic() - taking.begun
        is_told = any(one.is_lent for one in taking.held)
        done = Reclaim(
            taking.cause, self._clock.wall(), round(seconds, 4), is_back, slowest, is_told
        )
        logger.info(
            "machine given back" if is_back else "memory not given back",
            extra={"cause": done.cause, "seconds": round(seconds, 3), "slowest": slowest},
        )
        self._kept.keep(done)
        self._told(self._kept.all.times)
        if done.is_kept:
            self._health.clear(_LATE)
            return
        took = f"took {seconds:.1f} s" if is_back else f"had not ended after {seconds:.0f} s"
        is_elsewhere = not is_back and slowest in {one.key for one in taking.held if one.is_lent}
        self._health.warn(
            _LATE,
            f"giving the machine back ({taking.cause}) {took}, {PROMISE_SECONDS:g} s are promised; "
            f"longest took {slowest or 'finding that it was wanted'}"
            + (_KEPT_ELSEWHERE if is_elsewhere else ""),
            _LOOK_ELSEWHERE if is_elsewhere else _LOOK_HERE,
        )

    def _views(self) -> dict[str, EngineView]:
        return {view.key: view for view in self._engines.views}


def _held(view: EngineView) -> Held | None:
    """What of it is to be seen given back, if anything."""
    if view.pid is not None:
        return Held(view.key, memory_holders(view.pid), view.memory_bytes)
    has_to_tell = view.lends and view.state in _ANSWERS  # one that is off has nothing to give back
    return Held(view.key, frozenset(), is_lent=True) if has_to_tell else None

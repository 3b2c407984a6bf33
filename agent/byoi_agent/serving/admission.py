"""Who runs and who waits: each engine's slots, queues in order of arrival, and who is let in."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from byoi_agent.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = TypeVar("Key")


@dataclass(frozen=True)
class Room:
    """What one engine takes: so many requests at once, while so many more wait for it."""

    slots: int = 0
    queue: int = 0


_NONE = Room()


class Admission(Generic[Key]):
    """Sole owner of the slots. Every call returns at once; whoever gets a slot is named in return.

    Each engine has slots and a queue of its own, so that a crowd at one never keeps others from
    another; `limit` holds for all of them together, and where it binds the one who came first is
    first. Queues are bounded: who finds one full is refused, so that the console may try another
    node. Draining lets nobody new in; those who wait already still get their turn.
    """

    def __init__(self) -> None:
        self._rooms: Mapping[str, Room] = {}
        self._limit: int | None = None
        self._running: dict[Key, str] = {}
        self._waiting: OrderedDict[Key, tuple[str, float]] = OrderedDict()
        self._in_slots: Counter[str] = Counter()
        self._in_queue: Counter[str] = Counter()
        self._is_draining = False

    @property
    def running(self) -> int:
        """Slots in use."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queues."""
        return len(self._waiting)

    @property
    def is_draining(self) -> bool:
        """Whether nobody new is let in."""
        return self._is_draining

    def waiting_for(self, engine: str) -> int:
        """Requests in that engine's queue."""
        return self._in_queue[engine]

    def is_waiting(self, key: Key) -> bool:
        """Whether it has a place in a queue."""
        return key in self._waiting

    def arrive(self, engine: str, key: Key, deadline: float, now: float) -> bool:
        """Take a slot (True) or a place in the queue (False).

        Raises:
            RequestRefused: draining, no time left, known already, or no place in the queue.
        """
        if self._is_draining:
            raise RequestRefused("draining")
        if now >= deadline:
            raise RequestRefused("deadline_passed")
        if key in self._running or key in self._waiting:
            raise RequestRefused("already_running")
        if self._has_slot(engine) and not self._in_queue[engine]:
            self._run(engine, key)
            return True
        if self._in_queue[engine] >= self._rooms.get(engine, _NONE).queue:
            raise RequestRefused("over_capacity")
        self._waiting[key] = (engine, deadline)
        self._in_queue[engine] += 1
        return False

    def leave(self, key: Key, now: float) -> list[Key]:
        """Give the slot or the place back; returns who runs in consequence."""
        if (engine := self._running.pop(key, None)) is not None:
            self._in_slots[engine] -= 1
        elif key in self._waiting:
            self._unqueue(key)
        return self._fill(now)

    def move(self, key: Key, engine: str, now: float) -> list[Key]:
        """Let it wait at another engine, as one who has come as early; returns who runs.

        Raises:
            RequestRefused: no place in that queue; it keeps the one that it has.
        """
        before, deadline = self._waiting[key]
        if self._in_queue[engine] >= self._rooms.get(engine, _NONE).queue:
            raise RequestRefused("over_capacity")
        self._waiting[key] = (engine, deadline)
        self._in_queue.update({before: -1, engine: 1})
        return self._fill(now)

    def resize(self, rooms: Mapping[str, Room], limit: int | None, now: float) -> list[Key]:
        """Each engine has so much room now; nobody who has a slot or a place loses it."""
        self._rooms, self._limit = rooms, limit
        return self._fill(now)

    def drain(self) -> None:
        """Let nobody new in, for good."""
        self._is_draining = True

    def expired(self, now: float) -> list[Key]:
        """Take those out of the queues whose time has passed while they waited."""
        late = [key for key, (_, deadline) in self._waiting.items() if now >= deadline]
        for key in late:
            self._unqueue(key)
        return late

    def _fill(self, now: float) -> list[Key]:
        """Give free slots to those who wait, oldest first; the late ones are left to `expired`."""
        started: list[Key] = []
        for key, (engine, deadline) in tuple(self._waiting.items()):
            if now < deadline and self._has_slot(engine):
                self._unqueue(key)
                self._run(engine, key)
                started.append(key)
        return started

    def _has_slot(self, engine: str) -> bool:
        is_full = self._limit is not None and len(self._running) >= self._limit
        return not is_full and self._in_slots[engine] < self._rooms.get(engine, _NONE).slots

    def _run(self, engine: str, key: Key) -> None:
        self._running[key] = engine
        self._in_slots[engine] += 1

    def _unqueue(self, key: Key) -> None:
        engine, _ = self._waiting.pop(key)
        self._in_queue[engine] -= 1

"""Who runs and who waits: each engine's slots, queues in order of arrival, and who is let in."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from byoi_agent.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = TypeVar("Key")


@dataclass(frozen=True)
class Room:
    """What one engine takes: so many requests at once, while so many more wait for it.

    `own_seats` are for the owner's requests alone, beyond the slots: an engine that knows of
    priorities has them, since a seat there takes no memory of its own.
    """

    slots: int = 0
    queue: int = 0
    own_seats: int = 0


_NONE = Room()

OWN_QUEUE: Final = 64
"""The owner's requests that may wait for one engine: no crowd, unless a program runs wild."""


class Admission(Generic[Key]):
    """Sole owner of the slots. Every call returns at once; whoever gets a slot is named in return.

    Each engine has slots and a queue of its own, so that a crowd at one never keeps others from
    another; `limit` holds for all of them together, and where it binds the one who came first is
    first. Queues are bounded: who finds one full is refused, so that the console may try another
    node. Draining lets nobody new in; those who wait already still get their turn.

    The owner's own requests stand before everybody: they have a queue of their own, which is served
    first, and `limit`, which the owner set for others, does not hold for them. What is held for the
    owner (`hold`) no guest gets, also while it is free.
    """

    def __init__(self) -> None:
        self._rooms: Mapping[str, Room] = {}
        self._limit: int | None = None
        self._running: dict[Key, str] = {}
        self._waiting: OrderedDict[Key, tuple[str, float]] = OrderedDict()
        self._own: set[Key] = set()
        self._held: Mapping[str, int] = {}
        self._in_slots: Counter[str] = Counter()
        self._own_in_slots: Counter[str] = Counter()
        self._in_queue: Counter[str] = Counter()
        self._own_in_queue: Counter[str] = Counter()
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
        """Requests in that engine's queues."""
        return self._in_queue[engine] + self._own_in_queue[engine]

    @property
    def own(self) -> tuple[int, int]:
        """The owner's requests among them: that run, and that wait."""
        return self._own_in_slots.total(), self._own_in_queue.total()

    def own_at(self, engine: str) -> tuple[int, int]:
        """The owner's requests that run at that engine, and that wait for it."""
        return self._own_in_slots[engine], self._own_in_queue[engine]

    def guests_at(self, engine: str) -> tuple[Key, ...]:
        """Who has one of its slots and is not the owner, in order of their turn."""
        running = self._running.items()
        return tuple(key for key, at in running if at == engine and key not in self._own)

    def is_waiting(self, key: Key) -> bool:
        """Whether it has a place in a queue."""
        return key in self._waiting

    def arrive(
        self, engine: str, key: Key, deadline: float, now: float, *, is_own: bool = False
    ) -> bool:
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
        queue = self._queue(is_own=is_own)
        if self._has_slot(engine, is_own=is_own) and not queue[engine]:
            self._run(engine, key, is_own=is_own)
            return True
        if queue[engine] >= self._places(engine, is_own=is_own):
            raise RequestRefused("over_capacity")
        if is_own:
            self._own.add(key)
        self._waiting[key] = (engine, deadline)
        queue[engine] += 1
        return False

    def leave(self, key: Key, now: float) -> list[Key]:
        """Give the slot or the place back; returns who runs in consequence."""
        if (engine := self._running.pop(key, None)) is not None:
            self._in_slots[engine] -= 1
            self._own_in_slots[engine] -= key in self._own
            self._own.discard(key)
        elif key in self._waiting:
            self._unqueue(key)
            self._own.discard(key)
        return self._fill(now)

    def move(self, key: Key, engine: str, now: float) -> list[Key]:
        """Let it wait at another engine, as one who has come as early; returns who runs.

        Raises:
            RequestRefused: no place in that queue; it keeps the one that it has.
        """
        before, deadline = self._waiting[key]
        is_own = key in self._own
        queue = self._queue(is_own=is_own)
        if queue[engine] >= self._places(engine, is_own=is_own):
            raise RequestRefused("over_capacity")
        self._waiting[key] = (engine, deadline)
        queue.update({before: -1, engine: 1})
        return self._fill(now)

    def hold(self, held: Mapping[str, int], now: float) -> list[Key]:
        """Keep so many of each engine's slots for the owner from now on; returns who runs."""
        self._held = held
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
            self._own.discard(key)
        return late

    def _fill(self, now: float) -> list[Key]:
        """Give free slots to those who wait, the owner before all, else oldest first.

        The late ones are left to `expired`.
        """
        if not self._waiting:
            return []
        queued = tuple(self._waiting.items())
        own = (each for each in queued if each[0] in self._own)
        guests = (each for each in queued if each[0] not in self._own)
        started: list[Key] = []
        for key, (engine, deadline) in (*own, *guests):
            is_own = key in self._own
            if now < deadline and self._has_slot(engine, is_own=is_own):
                self._unqueue(key)
                self._run(engine, key, is_own=is_own)
                started.append(key)
        return started

    def _has_slot(self, engine: str, *, is_own: bool) -> bool:
        room = self._rooms.get(engine, _NONE)
        in_slots, own = self._in_slots[engine], self._own_in_slots[engine]
        if is_own:
            return in_slots < room.slots + room.own_seats * (room.slots > 0)
        if self._limit is not None and len(self._running) >= self._limit:
            return False
        owners = max(own, self._held.get(engine, 0))
        return in_slots - own + max(0, owners - room.own_seats) < room.slots

    def _places(self, engine: str, *, is_own: bool) -> int:
        return OWN_QUEUE if is_own else self._rooms.get(engine, _NONE).queue

    def _queue(self, *, is_own: bool) -> Counter[str]:
        return self._own_in_queue if is_own else self._in_queue

    def _run(self, engine: str, key: Key, *, is_own: bool) -> None:
        self._running[key] = engine
        self._in_slots[engine] += 1
        if is_own:
            self._own.add(key)
            self._own_in_slots[engine] += 1

    def _unqueue(self, key: Key) -> None:
        engine, _ = self._waiting.pop(key)
        self._queue(is_own=key in self._own)[engine] -= 1

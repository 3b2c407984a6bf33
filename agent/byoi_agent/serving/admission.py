"""Who runs and who waits: slots, one queue in order of arrival, and when nobody is let in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from byoi_agent.errors import RequestRefused

Key = TypeVar("Key")


class Admission(Generic[Key]):
    """Sole owner of the slots. Every call returns at once; whoever gets a slot is named in return.

    The queue is bounded: who finds it full is refused, so that the console may try another node.
    Draining lets nobody new in; those who wait already still get their turn.
    """

    def __init__(self, slots: int = 0, queue: int = 0) -> None:
        self._slots = slots
        self._queue = queue
        self._running: set[Key] = set()
        self._waiting: OrderedDict[Key, float] = OrderedDict()
        self._is_draining = False

    @property
    def running(self) -> int:
        """Slots in use."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def is_draining(self) -> bool:
        """Whether nobody new is let in."""
        return self._is_draining

    def arrive(self, key: Key, deadline: float, now: float) -> bool:
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
        if len(self._running) < self._slots and not self._waiting:
            self._running.add(key)
            return True
        if len(self._waiting) >= self._queue:
            raise RequestRefused("over_capacity")
        self._waiting[key] = deadline
        return False

    def leave(self, key: Key, now: float) -> list[Key]:
        """Give the slot or the place back; returns who runs in consequence."""
        self._running.discard(key)
        self._waiting.pop(key, None)
        return self._fill(now)

    def resize(self, slots: int, queue: int, now: float) -> list[Key]:
        """There are so many slots and places now; nobody who has one loses it."""
        self._slots, self._queue = slots, queue
        return self._fill(now)

    def drain(self) -> None:
        """Let nobody new in, for good."""
        self._is_draining = True

    def expired(self, now: float) -> list[Key]:
        """Take those out of the queue whose time has passed while they waited."""
        late = [key for key, deadline in self._waiting.items() if now >= deadline]
        for key in late:
            del self._waiting[key]
        return late

    def _fill(self, now: float) -> list[Key]:
        """Give free slots to those who wait, oldest first; the late ones are left to `expired`."""
        ready = [key for key, deadline in self._waiting.items() if now < deadline]
        started = ready[: max(0, self._slots - len(self._running))]
        for key in started:
            del self._waiting[key]
            self._running.add(key)
        return started

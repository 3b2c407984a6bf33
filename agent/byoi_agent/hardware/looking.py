"""Looks at a driver in a thread of its own: one that hangs costs that thread and no more."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.hardware.devices import ProbeReading

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.hardware.devices import DeviceReading

LOOK_SECONDS: Final = 10.0
"""How long a look at all devices of a kind may take before their driver counts as hung."""


class Prober(Protocol):
    """Something that can look at the accelerators of one kind."""

    async def read(self) -> ProbeReading:
        """One look; a fault of the driver is in the reading."""
        ...

    def now(self) -> ProbeReading:
        """The same, waited for: to choose by what is here before anything runs."""
        ...


class Looking:
    """Sole owner of one thread in which `look` is called, and of the look that is under way.

    Who asks during a look waits for that one; while it hangs no other is begun, and the devices
    that were seen before are told as lost.
    """

    def __init__(self, name: str, look: Callable[[], ProbeReading], *, mend: str) -> None:
        self._name = name
        self._look = look
        self._mend = mend
        self._jobs: queue.SimpleQueue[Future[ProbeReading]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: Future[ProbeReading] | None = None
        self._is_late = False
        self._seen: tuple[DeviceReading, ...] = ()

    async def read(self) -> ProbeReading:
        """One look; a fault of the driver is in the reading."""
        if (pending := self._under_way()) is None:
            return self._hung()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(pending))
        except TimeoutError:
            self._is_late = True
            return self._hung()

    def now(self) -> ProbeReading:
        """The same, waited for."""
        if (pending := self._under_way()) is None:
            return self._hung()
        try:
            return pending.result(LOOK_SECONDS)
        except TimeoutError:
            self._is_late = True
            return self._hung()

    def _under_way(self) -> Future[ProbeReading] | None:
        """The look to wait for; None while one hangs."""
        if self._pending is None or self._pending.done():
            self._is_late = False
            self._pending = self._begin()
        return None if self._is_late else self._pending

    def _begin(self) -> Future[ProbeReading]:
        if self._thread is None:
            # A daemon thread: a call stuck in the driver must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: Future[ProbeReading] = Future()
        self._jobs.put(future)
        return future

    def _work(self) -> None:
        while True:
            future = self._jobs.get()
            if future.set_running_or_notify_cancel():
                future.set_result(self._looked())

    def _looked(self) -> ProbeReading:
        try:
            reading = self._look()
        except Exception as error:  # noqa: BLE001 whatever a driver's files hold is its state
            return self._silence(f"cannot be read: {error}")
        self._seen = (*reading.devices, *reading.lost)
        return reading

    def _hung(self) -> ProbeReading:
        return self._silence(f"has not answered for {LOOK_SECONDS:.0f} s")

    def _silence(self, what: str) -> ProbeReading:
        problem = f"{self._name} {what}"
        lost = tuple(one.silent(one.problem or problem) for one in self._seen)
        return ProbeReading(problem=problem, mend=self._mend, lost=lost)

"""Runs calls that may block in one thread: one that hangs costs that thread and no more."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")


class Silent(Exception):
    """The call has not come back in time; while it hangs, no other is begun."""


class OneThread(Generic[_Answer]):
    """Sole owner of one thread in which `call` is called, and of the call that is under way.

    Who asks during a call waits for that one. `at_end` is called in it too, as the last.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], _Answer],
        seconds: float,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._at_end = at_end
        self._call = call
        self._seconds = seconds
        self._jobs: queue.SimpleQueue[Future[_Answer] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pending: Future[_Answer] | None = None
        self._is_late = False

    async def ask(self) -> _Answer:
        """What the call answers, or the error that it raises.

        Raises:
            Silent: it hangs, or hung before and still does.
        """
        if self._pending is None or self._pending.done():
            self._pending, self._is_late = self._begin(), False
        elif self._is_late:
            raise Silent(f"no answer for {self._seconds:g} s")
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(asyncio.wrap_future(self._pending))
        except TimeoutError as error:
            self._is_late = True
            raise Silent(f"no answer for {self._seconds:g} s") from error

    def close(self) -> None:
        """Let the thread end once its call has come back."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _begin(self) -> Future[_Answer]:
        if self._thread is None:
            # A daemon thread: a call that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future: Future[_Answer] = Future()
        self._jobs.put(future)
        return future

    def _work(self) -> None:
        while (future := self._jobs.get()) is not None:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                answer = self._call()
            except Exception as error:  # noqa: BLE001 it is the caller's, who waits for it
                future.set_exception(error)
            else:
                future.set_result(answer)
        self._at_end()

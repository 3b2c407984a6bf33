"""A clock that jumps instead of waiting, and a stream's owner that writes down what it hears."""

from __future__ import annotations

import asyncio
import selectors

import pytest

from byoi_wire.messages import OpenHead


class _JumpingSelector(selectors.DefaultSelector):
    """Does not wait for its timeout: it moves the clock on by as much."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None):
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@pytest.fixture
def in_virtual_time():
    """Runs a coroutine on a loop whose time passes at once."""

    def run(story):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(story)

    return run


class Recorder:
    """A `StreamHandler` that keeps what it hears, in order; `then` runs after each call."""

    def __init__(self, then=None) -> None:
        self.heard = []
        self.body = b""
        self._then = then

    def _hear(self, *words) -> None:
        self.heard.append(words)
        if self._then is not None:
            self._then(*words)

    def head_received(self, head) -> None:
        self._hear("head", head.status)

    def data_received(self, data) -> None:
        self.body += data
        self._hear("data", data)

    def end_received(self, trailer) -> None:
        self._hear("end", trailer)

    def reset_received(self, code, reason) -> None:
        self._hear("reset", code, reason)

    def send_allowed(self) -> None:
        self._hear("allowed")

    def link_lost(self) -> None:
        self._hear("lost")

    def link_resumed(self) -> None:
        self._hear("resumed")


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
def head():
    return OpenHead(
        request_id="req_1",
        attempt=1,
        ticket="t",
        tenant="salt",
        path="/v1/chat/completions",
        model="m",
        deadline_seconds=60,
        body_bytes=2,
    )

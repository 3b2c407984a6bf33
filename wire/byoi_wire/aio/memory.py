"""Two channels joined back to back, for tests of what runs over them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from byoi_wire.aio.channel import FULL_BYTES

if TYPE_CHECKING:
    from byoi_wire.aio.channel import Receiver


class MemoryChannel:
    """One end of a pair; delivers on the next turn of the loop, in order.

    `cut` is a network that goes silent: nothing arrives any more, and nobody is told. `fill` makes
    it look as if so many bytes waited in a transport.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver: Receiver | None = None
        self._early: deque[bytes | str] = deque()
        self._peer: MemoryChannel | None = None
        self._closed: tuple[int, str] | None = None
        self._is_cut = False
        self._is_paused = False
        self._buffered_bytes = 0
        self.sent: list[bytes | str] = []

    def join(self, peer: MemoryChannel) -> None:
        """Make `peer` the other end."""
        self._peer = peer

    def attach(self, receiver: Receiver) -> None:
        """Hear from now on, and what came before anyone listened."""
        self._receiver = receiver
        self.resume()
        if self._closed is not None:
            self._loop.call_soon(receiver.channel_closed, *self._closed)

    def pause(self) -> None:
        """Keep what comes for later."""
        self._is_paused = True

    def resume(self) -> None:
        """Deliver what was kept, and go on."""
        self._is_paused = False
        while self._early and self._receiver is not None and not self._is_paused:
            self._receiver.message_received(self._early.popleft())

    def send(self, message: bytes | str) -> None:
        """Deliver to the peer, unless the line is cut or closed."""
        if self._closed is not None:
            return
        self.sent.append(message)
        if self._peer is not None and not self._is_cut:
            self._loop.call_soon(self._peer.deliver, message)

    def deliver(self, message: bytes | str) -> None:
        """Arrive here."""
        if self._closed is not None or self._is_cut:
            return
        if self._receiver is None or self._is_paused:
            self._early.append(message)
        else:
            self._receiver.message_received(message)

    @property
    def buffered_bytes(self) -> int:
        """Memory is never full, unless it is told to look so."""
        return self._buffered_bytes

    def fill(self, count: int) -> None:
        """Look as if `count` bytes waited; tell the receiver when there is room again."""
        was_full, self._buffered_bytes = self._buffered_bytes > FULL_BYTES, count
        if was_full and count <= FULL_BYTES and self._receiver is not None:
            self._receiver.channel_writable()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close both ends."""
        self._end(code, reason)
        if self._peer is not None and not self._is_cut:
            self._loop.call_soon(self._peer._end, code, reason)  # noqa: SLF001 (the other end)

    def abort(self) -> None:
        """Close both ends without a word."""
        self.close(1006)

    def cut(self) -> None:
        """Go silent in both directions."""
        self._is_cut = True
        if self._peer is not None:
            self._peer._is_cut = True  # noqa: SLF001 (the other end)

    def _end(self, code: int, reason: str) -> None:
        if self._closed is not None:
            return
        self._closed = (code, reason)
        if self._receiver is not None:
            self._loop.call_soon(self._receiver.channel_closed, code, reason)


def pair() -> tuple[MemoryChannel, MemoryChannel]:
    """Two ends of one line."""
    left, right = MemoryChannel(), MemoryChannel()
    left.join(right)
    right.join(left)
    return left, right

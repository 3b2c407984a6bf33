"""Messages awaited one by one, for as long as a handshake lasts.

The peer may send more right behind the handshake's last message; that is kept for its reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from byoi_wire.errors import ProtocolViolation

if TYPE_CHECKING:
    from byoi_wire.aio.channel import Channel

_QUEUE_LIMIT = 64


class ChannelLost(ConnectionError):
    """The channel closed while its next message was awaited."""


class Inbox:
    """Hears a channel until somebody else does; bounded in size and number of messages."""

    def __init__(self, channel: Channel, limit_bytes: int) -> None:
        self._messages: deque[bytes | str] = deque()
        self._limit_bytes = limit_bytes
        self._arrived = asyncio.Event()
        self._end: tuple[int, str] | None = None
        self._violation: ProtocolViolation | None = None
        channel.attach(self)

    async def next(self) -> str:
        """The next text message; the caller bounds the wait.

        Raises:
            ProtocolViolation: it was binary, too big, or there were too many.
            ChannelLost: the channel closed first.
        """
        while not self._messages:
            if self._violation is not None:
                raise self._violation
            if self._end is not None:
                raise ChannelLost(f"closed with {self._end[0]} {self._end[1]}".rstrip())
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if isinstance(message, bytes):
            raise ProtocolViolation("frames before the handshake's end")
        return message

    def rest(self) -> list[bytes | str]:
        """What came right behind the last message read: it belongs to whoever hears next."""
        rest = list(self._messages)
        self._messages.clear()
        return rest

    def message_received(self, message: bytes | str) -> None:
        """Keep it for `next`."""
        if len(message) > self._limit_bytes or len(self._messages) >= _QUEUE_LIMIT:
            self._violation = ProtocolViolation("too much before the handshake's end", 1009)
        else:
            self._messages.append(message)
        self._arrived.set()

    def channel_writable(self) -> None:
        """Not news: a handshake's messages always fit."""

    def channel_closed(self, code: int, reason: str) -> None:
        """Wake `next` to say so."""
        self._end = (code, reason)
        self._arrived.set()

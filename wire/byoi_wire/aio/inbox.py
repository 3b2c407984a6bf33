"""Messages awaited one by one, for as long as a handshake lasts.

The peer may send more right behind the handshake's last message; that is kept for its reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from byoi_wire.errors import ProtocolViolation

if TYPE_CHECKING:
    from byoi_wire.aio.channel import Channel


_TOO_BIG: Final = 1009


class ChannelLost(ConnectionError):
    """The channel closed while its next message was awaited."""


class Inbox:
    """Hears a channel until somebody else does.

    While a message waits here the channel is not read, so that no more is held than one read of
    the transport brings.
    """

    def __init__(self, channel: Channel, limit_bytes: int) -> None:
        self._messages: deque[bytes | str] = deque()
        self._limit_bytes = limit_bytes
        self._arrived = asyncio.Event()
        self._end: tuple[int, str] | None = None
        self._channel = channel
        channel.attach(self)

    async def next(self) -> str:
        """The next text message; the caller bounds the wait.

        Raises:
            ProtocolViolation: it was binary, or too big.
            ChannelLost: the channel closed first.
        """
        while not self._messages:
            if self._end is not None:
                raise ChannelLost(f"closed with {self._end[0]} {self._end[1]}".rstrip())
            self._arrived.clear()
            self._channel.resume()
            await self._arrived.wait()
        message = self._messages.popleft()
        if isinstance(message, bytes):
            raise ProtocolViolation("frames before the handshake's end")
        if len(message.encode()) > self._limit_bytes:
            raise ProtocolViolation("too much before the handshake's end", _TOO_BIG)
        return message

    def rest(self) -> list[bytes | str]:
        """What came right behind the last message read: it belongs to whoever hears next."""
        rest = list(self._messages)
        self._messages.clear()
        return rest

    def message_received(self, message: bytes | str) -> None:
        """Keep it for `next`, or for whoever hears next."""
        self._channel.pause()
        self._messages.append(message)
        self._arrived.set()

    def channel_writable(self) -> None:
        """Not news: a handshake's messages always fit."""

    def channel_closed(self, code: int, reason: str) -> None:
        """Wake `next` to say so."""
        self._end = (code, reason)
        self._arrived.set()

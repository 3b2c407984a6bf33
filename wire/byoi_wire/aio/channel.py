"""What the link asks of a websocket: whole messages both ways, and to know when it ends."""

from __future__ import annotations

from typing import Final, Protocol

from byoi_wire.version import MESSAGE_LIMIT_BYTES, WRITE_BUFFER_BYTES

FULL_BYTES: Final = WRITE_BUFFER_BYTES - MESSAGE_LIMIT_BYTES
"""A channel that buffers more is full; one more message on top of this stays within the limit."""


class Receiver(Protocol):
    """Hears what a channel has to say; called from the event loop, must not block."""

    def message_received(self, message: bytes | str) -> None:
        """A whole message: bytes where it was binary, str where it was text."""

    def channel_writable(self) -> None:
        """`buffered_bytes` was beyond `FULL_BYTES`, and fell low enough to go on."""

    def channel_closed(self, code: int, reason: str) -> None:
        """Said once; 1006 where the peer went without a word."""


class Channel(Protocol):
    """An open websocket, or what stands in for one in a test."""

    def attach(self, receiver: Receiver) -> None:
        """Make `receiver` the one that hears from now on; reading goes on, if it was paused."""

    def pause(self) -> None:
        """Read nothing more for now; what has been read already still comes."""

    def resume(self) -> None:
        """Read on."""

    def send(self, message: bytes | str) -> None:
        """Hand a message to the transport; never waits."""

    @property
    def buffered_bytes(self) -> int:
        """What the transport has not sent yet."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a word; abort where the peer does not answer soon."""

    def abort(self) -> None:
        """Drop the transport at once."""

"""One of the owner's requests as a stream: what a relay sends waits here until it is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from byoi_wire.ids import StreamId
    from byoi_wire.messages import AnswerHead, ResetCode, Trailer

UNREAD_BYTES: Final = 256 * 1024
"""Of one answer: beyond it the engine is read no further until the program has read on."""


class LocalStream:
    """Sole owner of what has come of one answer and is not written yet; see `StreamSession`.

    The relay fills it and never waits; who writes it takes all that is there at once.

    Attributes:
        head: how the answer begins, None until it has.
        cut: how it was cut, None where it was not.
    """

    def __init__(self) -> None:
        self.head: AnswerHead | None = None
        self.cut: tuple[ResetCode, str] | None = None
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._is_over = False
        self._is_held = False
        self._news = asyncio.Event()
        self._end = asyncio.Event()

    # What the relay calls.

    def send_head(self, stream: StreamId, head: AnswerHead) -> None:  # noqa: ARG002
        """The answer begins."""
        self.head = head
        self._news.set()

    def send(self, stream: StreamId, data: bytes) -> bool:  # noqa: ARG002
        """A piece of it; False asks to wait until `take` has made room."""
        self._pieces.append(data)
        self._unread_bytes += len(data)
        self._news.set()
        self._is_held = self._unread_bytes >= UNREAD_BYTES
        return not self._is_held

    def end(self, stream: StreamId, trailer: Trailer | None = None) -> None:  # noqa: ARG002
        """It is whole."""
        self._is_over = True
        self._news.set()
        self._end.set()

    def reset(self, stream: StreamId, code: ResetCode, reason: str = "") -> None:  # noqa: ARG002
        """It ends here."""
        self.cut = code, reason
        self._is_over = True
        self._news.set()
        self._end.set()

    def consumed(self, stream: StreamId, count: int) -> None:
        """The request came whole: there is no credit to give."""

    # What the writer calls.

    async def news(self, within_seconds: float | None = None) -> bool:
        """Until something is to be done; False where nothing was for so long."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def until_over(self) -> None:
        """Until all of it is there: an answer of which nothing is told before."""
        await self._end.wait()

    def take(self) -> tuple[bytes, bool]:
        """All that has come since, and whether the relay waits for that."""
        self._news.clear()
        if self._is_over:
            self._news.set()
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._unread_bytes = 0
        was_held, self._is_held = self._is_held, False
        return taken, was_held

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes than what can be taken now."""
        return self._is_over

"""The answering half of one stream: a head, pieces of the answer, and an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_wire.messages import AnswerHead

if TYPE_CHECKING:
    from byoi_agent.serving.neighbours import StreamSession
    from byoi_wire.ids import StreamId
    from byoi_wire.messages import ResetCode, Trailer

PIECE_BYTES: Final = 64 * 1024
"""A plain answer is queued in pieces of this size, since the mux copies what is left of a piece."""


class Reply:
    """Sole sender on one stream; its head goes out with the first piece, never before.

    Attributes:
        has_begun: whether the head has gone out.
        sent_bytes: what has been sent of the body.
    """

    def __init__(self, session: StreamSession, stream: StreamId) -> None:
        self.has_begun = False
        self.sent_bytes = 0
        self._head = AnswerHead(status=200)
        self._session = session
        self._stream = stream

    def announce(self, head: AnswerHead) -> None:
        """What the head will say; of no effect once it has gone out."""
        self._head = head

    def send(self, data: bytes) -> bool:
        """A piece of the body; False asks to wait until the session allows more."""
        if not self.has_begun:
            self._begin()
        self.sent_bytes += len(data)
        return self._session.send(self._stream, data)

    def end(self, last: bytes, trailer: Trailer) -> None:
        """The rest of the body, and the end in good order."""
        if not self.has_begun:
            self._begin()
        for start in range(0, len(last), PIECE_BYTES):
            self.send(last[start : start + PIECE_BYTES])
        self._session.end(self._stream, trailer)

    def reset(self, code: ResetCode, reason: str) -> None:
        """Cut the stream, both halves."""
        self._session.reset(self._stream, code, reason)

    def consumed(self, count: int) -> None:
        """So many bytes of the request have been taken."""
        self._session.consumed(self._stream, count)

    def _begin(self) -> None:
        self.has_begun = True
        self._session.send_head(self._stream, self._head)

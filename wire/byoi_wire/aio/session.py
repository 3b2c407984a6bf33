"""The streams of one session, and who handles each; lives on while its connections come and go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from byoi_wire import resume
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import (
    AnswerHead,
    DataReceived,
    EndReceived,
    Event,
    HeadReceived,
    OpenHead,
    ResetCode,
    ResetReceived,
    StreamOffset,
    StreamOpened,
    Trailer,
)
from byoi_wire.mux import Mux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from byoi_wire.ids import StreamId
    from byoi_wire.messages import Frame

logger = logging.getLogger(__name__)


class StreamHandler(Protocol):
    """One stream's owner. Called from the event loop: must neither block nor raise."""

    def head_received(self, head: AnswerHead) -> None:
        """The answer's head; at the console only."""

    def data_received(self, data: bytes) -> None:
        """A piece of the body; call `Session.consumed` once it has gone on."""

    def end_received(self, trailer: bytes) -> None:
        """The peer's half is complete; a node's ends with a `Trailer` as JSON."""

    def reset_received(self, code: ResetCode, reason: str) -> None:
        """The stream is over, both halves."""

    def send_allowed(self) -> None:
        """`send` had returned False; there is room again."""

    def link_lost(self) -> None:
        """Nothing moves until `link_resumed` or `reset_received(LOST)`."""

    def link_resumed(self) -> None:
        """Nothing was lost on the way."""


class Wire(Protocol):
    """The connection as its session sees it."""

    def poke(self, *, is_urgent: bool) -> None:
        """Frames wait: send them soon, or now."""

    def poke_later(self) -> None:
        """Credit and the like wait: they may go with what comes next, or in a little while."""


class Session:
    """Sole owner of one session's mux and of who handles which stream.

    `accept` is given at the node, and is called for each stream that the console opens. After both
    sides ended a stream, or one reset it, its handler hears nothing more and calls for it are
    ignored.
    """

    def __init__(
        self, *, accept: Callable[[StreamId, OpenHead], StreamHandler] | None = None
    ) -> None:
        self._accept = accept
        self._mux = Mux(opens=accept is None)
        self._handlers: dict[StreamId, StreamHandler] = {}
        self._fresh: set[StreamId] = set()
        self._wire: Wire | None = None

    # What the application calls

    def open(self, head: OpenHead, handler: StreamHandler) -> StreamId:
        """Ask the node to serve a request; console only.

        Raises:
            OverflowError: no stream ids are left in this session.
        """
        stream = self._mux.open(head.model_dump_json(exclude_defaults=True).encode())
        self._handlers[stream] = handler
        self._poke(is_urgent=True)
        return stream

    def send_head(self, stream: StreamId, head: AnswerHead) -> None:
        """Begin the answer; node only."""
        self._mux.head(stream, head.model_dump_json(exclude_none=True).encode())
        self._fresh.add(stream)
        self._poke(is_urgent=True)

    def send(self, stream: StreamId, data: bytes) -> bool:
        """Queue a piece of the body; False asks to wait for `send_allowed`."""
        may_go_on = self._mux.send(stream, data)
        is_first = stream in self._fresh
        if is_first:
            self._fresh.discard(stream)
        if self._wire is not None:
            self._wire.poke(is_urgent=is_first)
        return may_go_on

    def end(self, stream: StreamId, trailer: Trailer | None = None) -> None:
        """Our half is complete."""
        self._mux.end(stream, b"" if trailer is None else trailer.model_dump_json().encode())
        if self._accept is not None:
            self._release(stream)  # an answered request: its handler has nothing left to hear
        self._poke(is_urgent=True)

    def reset(self, stream: StreamId, code: ResetCode, reason: str = "") -> None:
        """Cut the stream, both halves."""
        self._mux.reset(stream, code, reason)
        self._release(stream)
        self._poke(is_urgent=True)

    def consumed(self, stream: StreamId, count: int) -> None:
        """`count` bytes have gone on; the peer may send as many more."""
        if self._mux.consumed(stream, count) and self._wire is not None:
            self._wire.poke_later()

    @property
    def connected(self) -> bool:
        """Whether a link carries this session now."""
        return self._wire is not None

    @property
    def streams(self) -> int:
        """Streams that somebody still handles."""
        return len(self._handlers)

    @property
    def unfinished(self) -> int:
        """Streams not over on the wire: also those whose handler is done but whose end is not."""
        return len(self._mux)

    @property
    def is_exhausted(self) -> bool:
        """Whether no stream can be opened any more."""
        return self._mux.is_exhausted

    # What the connection calls

    def frames_received(self, frames: Iterable[Frame]) -> None:
        """Apply the peer's frames.

        Raises:
            ProtocolViolation: the peer broke the protocol; close the link.
        """
        receive, handlers = self._mux.receive, self._handlers
        for frame in frames:
            event = receive(frame)
            if type(event) is DataReceived:
                if (handler := handlers.get(event.stream)) is not None:
                    handler.data_received(event.data)
            elif event is not None:
                self._dispatch(event)
        if self._mux.has_ready:
            self._poke(is_urgent=False)
        elif self._mux.has_frames and self._wire is not None:
            self._wire.poke_later()

    def take(self, budget_bytes: int) -> list[Frame]:
        """What may be sent now."""
        return self._mux.take(budget_bytes)

    def taken(self) -> None:
        """Wake those that waited for room in the queue that `take` just emptied."""
        for stream in self._mux.take_allowed():
            if (handler := self._handlers.get(stream)) is not None:
                handler.send_allowed()

    @property
    def has_frames(self) -> bool:
        """Whether `take` would give something."""
        return self._mux.has_frames

    def attach(self, wire: Wire) -> None:
        """A link carries this session from now on."""
        self._wire = wire

    def detach(self, wire: Wire) -> None:
        """The link is gone; the streams wait for another. A link replaced already is not news."""
        if self._wire is not wire:
            return
        self._wire = None
        self._mux.disconnect()
        for handler in self._each_handler():
            handler.link_lost()

    # What a resume does

    def offer(self) -> tuple[StreamOffset, ...]:
        """What this side has of its streams."""
        return resume.offer(self._mux)

    def settle(self, peer: Iterable[StreamOffset]) -> tuple[StreamOffset, ...]:
        """Go on with the streams that both sides know; the handlers of the rest hear LOST.

        Raises:
            ProtocolViolation: the peer claims an offset that cannot be.
        """
        if self._wire is not None:
            self.detach(self._wire)  # the link before this one, whose end nobody has noticed yet
        agreement = resume.settle(self._mux, peer)
        for stream in agreement.lost:
            self._lose(stream, "the peer no longer knows this stream")
        for handler in self._each_handler():
            handler.link_resumed()
        return agreement.resumed

    def abandon(self, reason: str) -> None:
        """No link will come back: every stream is lost."""
        streams = tuple(self._mux.streams)
        for stream in streams:
            self._mux.forget(stream)
        for stream in streams:
            self._lose(stream, reason)

    # Inside

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, StreamOpened):
            self._opened(event)
        elif (handler := self._handlers.get(event.stream)) is None:
            return
        elif isinstance(event, HeadReceived):
            self._head_received(handler, event)
        elif isinstance(event, EndReceived):
            if self._accept is None:
                self._release(event.stream)
            handler.end_received(event.trailer)
        elif isinstance(event, ResetReceived):
            self._release(event.stream)
            handler.reset_received(_reset_code(event.code), event.reason)

    def _opened(self, event: StreamOpened) -> None:
        assert self._accept is not None  # a console's mux refuses OPEN
        try:
            head = OpenHead.model_validate_json(event.head)
        except ValidationError as error:
            self._mux.reset(event.stream, ResetCode.INTERNAL, "malformed head")
            raise ProtocolViolation("OPEN with a malformed head") from error
        self._handlers[event.stream] = self._accept(event.stream, head)
        if not self._mux.is_open(event.stream):
            self._release(event.stream)  # refused on the spot

    def _head_received(self, handler: StreamHandler, event: HeadReceived) -> None:
        try:
            head = AnswerHead.model_validate_json(event.head)
        except ValidationError as error:
            # The stream must not go on over the next link without the head that it never heard.
            self.reset(event.stream, ResetCode.INTERNAL, "malformed head")
            handler.reset_received(ResetCode.INTERNAL, "the node sent a malformed head")
            raise ProtocolViolation("HEAD with a malformed head") from error
        handler.head_received(head)

    def _each_handler(self) -> Iterator[StreamHandler]:
        """The handlers of now, less those that a call to another has taken away."""
        for stream, handler in tuple(self._handlers.items()):
            if self._handlers.get(stream) is handler:
                yield handler

    def _lose(self, stream: StreamId, reason: str) -> None:
        if (handler := self._release(stream)) is not None:
            handler.reset_received(ResetCode.LOST, reason)

    def _release(self, stream: StreamId) -> StreamHandler | None:
        self._fresh.discard(stream)
        return self._handlers.pop(stream, None)

    def _poke(self, *, is_urgent: bool) -> None:
        if self._wire is not None:
            self._wire.poke(is_urgent=is_urgent)


def _reset_code(code: int) -> ResetCode:
    try:
        return ResetCode(code)
    except ValueError:
        return ResetCode.INTERNAL  # a newer peer's reason: all that is known is that it failed

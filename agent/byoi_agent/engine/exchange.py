"""One request to an engine and the connection that it runs on: the streaming path.

Raw protocols, since every layer here is paid per token. One request at a time runs on a connection.
Closing the connection is the only cancel that every engine understands. Redirects are never
followed and compression is never asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from byoi_agent.errors import EngineError
from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.client import ResponseHandler, ResponseParser

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExchangeHandler(ResponseHandler, Protocol):
    """What becomes of a request; exactly one of `body_ended` and `failed` comes, and comes last."""

    def failed(self, error: EngineError) -> None:
        """The answer will not be complete; not called after `Exchange.abort`."""
        ...


class Connections(Protocol):
    """Who owns the connections to one engine; `byoi_agent.engine.client.EngineClient` does.

    Attributes:
        received_bytes: all that ever came and told of life.
    """

    received_bytes: int

    def keep(self, connection: Connection) -> None:
        """It is free again."""

    def remember(self, connection: Connection) -> None:
        """It is there."""

    def forget(self, connection: Connection) -> None:
        """It is gone."""

    def retry(self, exchange: Exchange) -> bool:
        """Run that again on a new one; False where nobody can."""


class Exchange:
    """One request under way and the sole owner of its fate.

    Attributes:
        request: its bytes.
        tells_of_life: whether its answer shows that the engine computes for others.
    """

    def __init__(
        self,
        client: Connections,
        request: bytes,
        handler: ExchangeHandler,
        *,
        tells_of_life: bool,
    ) -> None:
        self.request = request
        # Straight through: whatever ends an exchange stops its parser too, so nothing comes late.
        self.body_received = handler.body_received
        self.tells_of_life = tells_of_life
        self._client = client
        self._handler = handler
        self._connection: Connection | None = None
        self._over = False
        self._paused = False
        self._retried = False

    def pause(self) -> None:
        """Read no more from the engine for now; what was read already may still arrive."""
        self._paused = True
        if self._connection is not None:
            self._connection.hold()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._connection is not None:
            self._connection.go_on()

    def abort(self) -> None:
        """Cancel at the engine by closing the connection; the handler hears nothing more."""
        self._over = True
        if self._connection is not None:
            self._connection.drop()

    # What its connection and its client call.

    def begin(self, connection: Connection) -> None:
        """Run on this connection."""
        if self._over:
            connection.close()
            return
        self._connection = connection
        connection.start(self)
        if self._paused:
            connection.hold()

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:
        """Refuse what an engine has no business to answer, pass the rest on."""
        coding = headers.get("content-encoding", "identity")
        if status in range(300, 400) or coding != "identity":
            cause = "a redirect" if coding == "identity" else f"{coding} that nobody asked for"
            connection = self._connection
            self.lost(EngineError(f"the engine answered with {cause}"), can_retry=False)
            if connection is not None:
                connection.drop()
            return
        self._handler.head_received(status, headers)

    def body_ended(self) -> None:
        """Complete; the connection is already somebody else's."""
        if not self._over:
            self._over = True
            self._connection = None
            self._handler.body_ended()

    def lost(self, error: EngineError, *, can_retry: bool) -> None:
        """The connection broke; a kept one that died before it answered deserves a second try."""
        self._connection = None
        if self._over:
            return
        if can_retry and not self._retried:
            self._retried = True
            if self._client.retry(self):
                return
        self._over = True
        self._handler.failed(error)


class Connection(asyncio.Protocol):
    """Sole owner of one transport; idle while `_exchange` is None."""

    def __init__(self, client: Connections) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser: ResponseParser | None = None
        self._used = False
        self._is_held = False
        self._is_given_up = False

    @property
    def is_open(self) -> bool:
        """Whether a request may be tried on it."""
        return self._transport is not None and not self._transport.is_closing()

    def start(self, exchange: Exchange) -> None:
        """Send a request; the answer's events go to its exchange."""
        assert self._exchange is None, "one request at a time"
        assert self._transport is not None, "started before it was connected"
        self._exchange = exchange
        self._parser = ResponseParser(exchange)
        self._transport.write(exchange.request)

    def hold(self) -> None:
        """Stop reading, which in time stops the engine from writing."""
        if self.is_open and not self._is_held and self._transport is not None:
            self._is_held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._is_held and self.is_open and self._transport is not None:
            self._transport.resume_reading()
        self._is_held = False

    def drop(self) -> None:
        """Close at once and tell nobody."""
        self._exchange = None
        if self._parser is not None:
            self._parser.stop()
        if self._transport is not None:
            self._transport.abort()

    def lose(self, cause: str, *, is_ours: bool = False) -> None:
        """Close at once; the request on it has failed. What `is_ours` to end is not tried again."""
        exchange, parser = self._exchange, self._parser
        self.drop()
        if exchange is not None:
            fresh = parser is None or not parser.started
            can_retry = self._used and fresh and not is_ours
            exchange.lost(EngineError(cause), can_retry=can_retry)

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    def give_up(self) -> None:
        """Whoever waited for it has left while it was being made.

        uvloop then closes it without a word to us: nobody may wait for its end.
        """
        self._is_given_up = True
        self._client.forget(self)
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it
        if self._is_given_up:
            self._transport.abort()
        else:
            self._client.remember(self)

    def data_received(self, data: bytes) -> None:
        """Parse; the exchange's handler hears of it before this returns."""
        parser = self._parser
        if parser is None:
            self.close()  # an engine that speaks without being asked
            return
        if self._exchange is not None and self._exchange.tells_of_life:
            self._client.received_bytes += len(data)
        try:
            parser.feed(data)
        except ProtocolViolation as error:
            self.lose(f"the engine broke HTTP: {error}")
            return
        if parser.complete:
            self._finish(keep=parser.keep_alive)

    def eof_received(self) -> None:
        """The engine has said all; an answer without a length ends with it."""
        if self._parser is None:
            return
        try:
            self._parser.feed_eof()
        except ProtocolViolation:
            return  # `connection_lost` follows and fails it
        self._finish(keep=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The request on it, if any, is lost with it."""
        self.lose(f"the engine closed the connection{f': {exc}' if exc else ''}")
        self._client.forget(self)
        self.closed.set_result(None)

    def _finish(self, *, keep: bool) -> None:
        self._exchange, self._parser, self._used = None, None, True
        if keep and self.is_open:
            self.go_on()
            self._client.keep(self)
        else:
            self.close()

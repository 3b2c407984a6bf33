"""HTTP to the engine on raw protocols: the streaming path, so every layer here is paid per token.

One request at a time runs on a connection; idle ones are kept. Closing the connection is the only
cancel that every engine understands. Redirects are never followed and compression is never asked
for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from byoi_agent.errors import EngineError, EngineSilent
from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.client import ResponseHandler, ResponseParser, encode_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.address import EngineAddress

IDLE_LIMIT: Final = 16
_FETCH_LIMIT_BYTES: Final = 4 * 1024 * 1024
_LEFT: Final = "the engine is being left"


class ExchangeHandler(ResponseHandler, Protocol):
    """What becomes of a request; exactly one of `body_ended` and `failed` comes, and comes last."""

    def failed(self, error: EngineError) -> None:
        """The answer will not be complete; not called after `Exchange.abort`."""
        ...


@dataclass(frozen=True)
class FetchedAnswer:
    """A small answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """One request under way and the sole owner of its fate; made by `EngineClient.send`."""

    def __init__(self, client: EngineClient, request: bytes, handler: ExchangeHandler) -> None:
        self.request = request
        # Straight through: whatever ends an exchange stops its parser too, so nothing comes late.
        self.body_received = handler.body_received
        # A stuck engine may still count tokens for us: only what others wait for tells of life.
        self.tells_of_life = not isinstance(handler, _Collector)
        self._client = client
        self._handler = handler
        self._connection: _Connection | None = None
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

    def begin(self, connection: _Connection) -> None:
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


class _Connection(asyncio.Protocol):
    """Sole owner of one transport; idle while `_exchange` is None."""

    def __init__(self, client: EngineClient) -> None:
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


class EngineClient:
    """Sole owner of the connections to one engine.

    Attributes:
        received_bytes: all that ever came in answer to `send`, and so whether it computes.
    """

    def __init__(self, base: EngineAddress) -> None:
        self.received_bytes = 0
        self._address = base
        self._connecting = 0
        self._cuts = 0
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def running(self) -> int:
        """Requests under way, those included whose connection is being made."""
        return len(self._open) - len(self._idle) + self._connecting

    async def run(self) -> None:
        """Until cancelled; while it runs, a request on a kept connection gets a second try."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    self._tasks = None
        finally:
            await self.close()

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        handler: ExchangeHandler,
    ) -> Exchange:
        """Start a request; its answer comes to `handler`, beginning after this has returned.

        Raises:
            EngineError: no connection could be made, the handler hears nothing.
        """
        target = self._address.prefix + path
        request = encode_request(method, target, {**headers, **self._address.headers}, body)
        exchange = Exchange(self, request, handler)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                exchange.begin(connection)
                return exchange
        exchange.begin(await self._connect())
        return exchange

    async def fetch(
        self, method: str, path: str, body: bytes = b"", *, timeout_seconds: float
    ) -> FetchedAnswer:
        """A small answer in one piece.

        Raises:
            EngineError: none came in time, or it is larger than 4 MiB.
        """
        collector = _Collector()
        headers = {"content-type": "application/json"} if body else {}
        exchange: Exchange | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                exchange = await self.send(method, path, headers, body, collector)
                return await collector.answer
        except TimeoutError as error:
            raise EngineSilent(f"no answer from {path} in {timeout_seconds:g} s") from error
        finally:
            if exchange is not None:
                exchange.abort()

    def cut(self) -> list[asyncio.Future[None]]:
        """Drop every connection, those that are being made too; requests under way fail.

        What it returns is done once the sockets are closed.
        """
        self._cuts += 1
        ending = list(self._open)
        for connection in ending:
            connection.lose(_LEFT, is_ours=True)
        return [connection.closed for connection in ending]

    async def close(self) -> None:
        """Drop every connection and wait until the sockets are closed."""
        if ending := self.cut():
            # Bounded by the loop: an aborted transport reports its loss in the next turn.
            await asyncio.wait(ending)

    # What exchanges and connections call.

    def keep(self, connection: _Connection) -> None:
        """A connection is free again."""
        if len(self._idle) < IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.close()

    def remember(self, connection: _Connection) -> None:
        """A connection is there."""
        self._open.add(connection)

    def forget(self, connection: _Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def retry(self, exchange: Exchange) -> bool:
        """Run it again on a new connection; False when nobody runs this client any more."""
        if self._tasks is None:
            return False
        self._tasks.create_task(self._begin_again(exchange), name="engine request, second try")
        return True

    async def _begin_again(self, exchange: Exchange) -> None:
        try:
            exchange.begin(await self._connect())
        except EngineError as error:
            exchange.lost(error, can_retry=False)
        except asyncio.CancelledError:
            exchange.lost(EngineError(_LEFT), can_retry=False)
            raise

    async def _connect(self) -> _Connection:
        cuts, made = self._cuts, _Connection(self)
        self._connecting += 1
        try:
            connection = await self._address.connect(lambda: made)
        except BaseException:
            made.give_up()
            raise
        finally:
            self._connecting -= 1
        if cuts != self._cuts:  # all was dropped while this one was on its way
            connection.close()
            raise EngineError(_LEFT)
        return connection


class _Collector:
    """Keeps a small answer until it is whole."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[FetchedAnswer] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()

    def head_received(self, status: int, headers: Mapping[str, str]) -> None:
        self._status, self._headers = status, headers

    def body_received(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _FETCH_LIMIT_BYTES:
            self.failed(EngineError("the engine's answer is too large"))

    def body_ended(self) -> None:
        if not self.answer.done():
            self.answer.set_result(FetchedAnswer(self._status, self._headers, bytes(self._body)))

    def failed(self, error: EngineError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

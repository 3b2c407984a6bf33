"""HTTP to one engine: all its connections, of which idle ones are kept; `exchange` has one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.exchange import Connection, Exchange
from byoi_agent.errors import EngineError, EngineSilent
from byoi_wire.http.client import encode_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.address import EngineAddress
    from byoi_agent.engine.exchange import ExchangeHandler

IDLE_LIMIT: Final = 16
_FETCH_LIMIT_BYTES: Final = 4 * 1024 * 1024
_LEFT: Final = "the engine is being left"


@dataclass(frozen=True)
class FetchedAnswer:
    """A small answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
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
        # A stuck engine may still count tokens for us: only what others wait for tells of life.
        tells_of_life = not isinstance(handler, _Collector)
        exchange = Exchange(self, request, handler, tells_of_life=tells_of_life)
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

    def keep(self, connection: Connection) -> None:
        """A connection is free again."""
        if len(self._idle) < IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.close()

    def remember(self, connection: Connection) -> None:
        """A connection is there."""
        self._open.add(connection)

    def forget(self, connection: Connection) -> None:
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

    async def _connect(self) -> Connection:
        cuts, made = self._cuts, Connection(self)
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

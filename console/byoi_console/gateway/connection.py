"""A client's connection: bytes to requests, one answer at a time in their order, limits in time.

**A client that goes away.** When a client closes, its FIN looks the same as that of a client which
only said that it sends no more and still reads. Taking every FIN for a departure (nginx, uvicorn)
would rob the second kind of its answer; ignoring it would let the first kind's engine run on. So
after a FIN the connection is probed: a few bytes without meaning (see `Exchange.probe`) at once and
again at growing distances. A closed socket answers them with RST, which shows at the next probe or
the next piece of the answer: within half a second nearby, two round trips afar. A reset or aborted
connection is noticed in the loop turn in which it arrives.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from byoi_console.gateway.exchange import Exchange
from byoi_console.gateway.http1 import Request, RequestBroken, RequestParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.gateway.forwarded import Origin

logger = logging.getLogger(__name__)

WRITE_BUFFER_BYTES: Final = 64 * 1024
AGENTS_TARGET: Final = b"/agent/v1/connect"
AHEAD_LIMIT_BYTES: Final = 64 * 1024
"""What a client may send beyond the request being answered before it is read no further."""

UNREAD_LIMIT_BYTES: Final = 256 * 1024
_PROBE_SECONDS: Final = (0.2, 0.3, 0.5, 1.0, 2.0)
_LINGER_LIMIT_BYTES: Final = 16 * 1024 * 1024


class Times(NamedTuple):
    """Bounds on a client, in seconds."""

    head: float = 10.0
    body: float = 30.0
    idle: float = 75.0
    stall: float = 60.0
    linger: float = 2.0


class Doors(NamedTuple):
    """Where a connection's requests go.

    `agents` takes the transport over, with the bytes read so far and the peer's address; None if
    nothing waits there. `serve` starts an answer and returns at once. `refuse` answers what is no
    proper request. `origin_of` tells whom a request of the connection's peer came from.
    """

    agents: Callable[[asyncio.Transport, bytes, str], None] | None
    serve: Callable[[Exchange], None]
    refuse: Callable[[Exchange, int, str], None]
    origin_of: Callable[[str, Request], Origin]


class Budget:
    """Sole owner of how much all connections together keep of requests that are not whole yet.

    Nobody has shown a key by then, so without a limit anybody could fill the memory.
    """

    def __init__(self, limit_bytes: int = 256 * 1024 * 1024) -> None:
        self._left = limit_bytes

    def change(self, count: int) -> bool:
        """Take `count` bytes, or give some back; False: that is more than there is."""
        self._left -= count
        return count <= 0 or self._left >= 0


class ClientConnection(asyncio.Protocol):
    """Sole owner of one client's transport, its unread bytes and its clock; one of `everyone`.

    Requests that a client sends ahead wait unparsed until the answer before them is written.

    Attributes:
        is_writable: whether the client takes what is written; read for every piece of an answer.
    """

    __slots__ = (
        "_alarm",
        "_budget",
        "_doors",
        "_everyone",
        "_exchange",
        "_has_eof",
        "_held",
        "_is_advancing",
        "_is_closing",
        "_is_reading",
        "_lingered",
        "_loop",
        "_parser",
        "_peer",
        "_phase",
        "_probes",
        "_stall",
        "_times",
        "_transport",
        "_unread",
        "is_writable",
    )

    def __init__(
        self, doors: Doors, times: Times, everyone: set[ClientConnection], budget: Budget
    ) -> None:
        self._budget = budget
        self._held = 0
        self._doors = doors
        self._everyone = everyone
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser()
        self._exchange: Exchange | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._unread = 0
        self._probes = 0
        self._lingered = 0
        self._has_eof = False
        self._is_advancing = False
        self._is_closing = False
        self._is_reading = True
        self.is_writable = True
        self._peer = ""
        self._phase: str = "idle"

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._everyone.add(self)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if isinstance(address, tuple) else ""
        self._set_alarm(self._times.head, self._timed_out)

    def data_received(self, data: bytes) -> None:
        """Bytes of this request or of those after it."""
        if self._is_closing:
            self._lingered += len(data)
            if self._lingered > _LINGER_LIMIT_BYTES:
                self._transport.abort()
            return
        self._parser.feed(data)
        if self._exchange is None:
            self._advance()
            self._note_held()
        elif self._parser.unread > AHEAD_LIMIT_BYTES and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more: it closed, or it only waits for its answers."""
        self._has_eof = True
        if self._is_closing or self._transport.get_extra_info("sslcontext") is not None:
            return False  # TLS knows no half-closed connections
        if self._exchange is None:
            self._advance()  # a request sent ahead may be whole
        else:
            self._probe()
        return self._exchange is not None

    def pause_writing(self) -> None:
        """The client reads more slowly than its answer comes."""
        self.is_writable = False
        self._unread = self._transport.get_write_buffer_size()
        self._stall = self._loop.call_later(self._times.stall, self._stalled)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.is_writable = True
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._exchange is not None:
            self._exchange.became_writable()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how is no matter
        """The client is gone, or we let it go."""
        self._is_closing = True
        self._everyone.discard(self)
        self._let_go()
        for handle in (self._alarm, self._stall):
            if handle is not None:
                handle.cancel()
        if self._exchange is not None:
            self._exchange.client_left()
            self._exchange = None

    # What the exchange calls

    def write(self, data: bytes) -> None:
        """Put bytes on the connection."""
        self._transport.write(data)

    def exchange_ended(self, *, keeps_alive: bool) -> None:
        """The answer is written whole: on to the next request, or close."""
        self._exchange = None
        if not keeps_alive:
            self._close_softly()
        elif not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
        # An answer given from within `_advance` must not recurse once per pipelined request.
        if not self._is_closing and not self._is_advancing:
            self._loop.call_soon(self._advance)

    def abort(self) -> None:
        """Break the connection off."""
        self._transport.abort()

    # What the front calls

    def close_when_idle(self) -> None:
        """Stop taking requests: close now, or after the answer that is being given."""
        if self._exchange is None:
            self._close_softly()
        else:
            self._exchange.request.keeps_alive = False

    # Inside

    def _advance(self) -> None:
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while self._exchange is None and not self._is_closing and self._next():
                pass
        finally:
            self._is_advancing = False
        if self._exchange is None and not self._is_closing:
            if self._has_eof:
                self._close_softly()
            else:
                self._await_more()

    def _next(self) -> bool:
        """Start on the next request; False if it is not whole yet."""
        try:
            request = self._parser.next_request()
        except RequestBroken as error:
            self._refuse(error.status, error.message)
            return False
        if request is None:
            return False
        self._clear_alarm()
        self._phase = ""
        if self._doors.agents is not None and _is_agent(request):
            self._hand_over(request)
            return False
        peer, scheme = self._doors.origin_of(self._peer, request)
        self._exchange = Exchange(self, request, peer, scheme)
        self._doors.serve(self._exchange)
        if self._has_eof:
            self._probes = 0
            self._probe()
        return True

    def _note_held(self) -> None:
        """Count what this connection keeps of a request; all of them together have a limit."""
        unread = self._parser.unread
        if unread == self._held:
            return
        has_room = self._budget.change(unread - self._held)
        self._held = unread
        if not has_room and self._exchange is None and not self._is_closing:
            self._refuse(503, "Too many requests are being read at once. Try again shortly.")

    def _let_go(self) -> None:
        self._parser.rest()
        self._budget.change(-self._held)
        self._held = 0

    def _await_more(self) -> None:
        phase = self._parser.phase
        if phase == "body" and self._parser.awaits_continue:
            self._parser.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if phase != self._phase:
            self._phase = phase
            seconds = {"idle": self._times.idle, "head": self._times.head, "body": self._times.body}
            self._set_alarm(seconds[phase], self._timed_out)

    def _set_alarm(self, seconds: float, wake: Callable[[], None]) -> None:
        self._clear_alarm()
        self._alarm = self._loop.call_later(seconds, wake)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _timed_out(self) -> None:
        if self._parser.phase == "idle":
            self._close_softly()
        else:
            self._refuse(408, "The request did not arrive in time.")

    def _hand_over(self, request: Request) -> None:
        assert self._doors.agents is not None
        self._is_closing = True  # nothing of it is ours any more
        self._everyone.discard(self)
        received = request.head + request.body + self._parser.rest()
        self._let_go()
        peer = self._doors.origin_of(self._peer, request).peer
        self._doors.agents(self._transport, received, peer)

    def _refuse(self, status: int, message: str) -> None:
        self._clear_alarm()
        request = Request(b"")  # it never keeps the connection alive
        self._exchange = Exchange(self, request, self._peer)
        self._doors.refuse(self._exchange, status, message)

    def _close_softly(self) -> None:
        """Close so that the last answer still arrives.

        A close with bytes unread is a RST, which can overtake the answer; so what the client is
        still sending is read over for a while.
        """
        self._is_closing = True
        self._clear_alarm()
        if self._has_eof or self._parser.phase == "idle" or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._let_go()
        self._transport.write_eof()
        if not self._is_reading:
            self._transport.resume_reading()
        self._alarm = self._loop.call_later(self._times.linger, self._transport.abort)

    def _probe(self) -> None:
        if self._exchange is None or self._is_closing:
            return
        if self.is_writable:
            self._exchange.probe()
        seconds = _PROBE_SECONDS[min(self._probes, len(_PROBE_SECONDS) - 1)]
        self._probes += 1
        self._set_alarm(seconds, self._probe)

    def _stalled(self) -> None:
        """Cut a client that reads nothing, or so little that too much waits for it."""
        unread = self._transport.get_write_buffer_size()
        waiting = 0 if self._exchange is None else self._exchange.waiting_bytes
        if unread >= self._unread or unread + waiting > UNREAD_LIMIT_BYTES:
            logger.info("slow client cut", extra={"peer": self._peer, "unread": unread + waiting})
            self._transport.abort()
            return
        self._unread = unread
        self._stall = self._loop.call_later(self._times.stall, self._stalled)


def _is_agent(request: Request) -> bool:
    return (
        request.target == AGENTS_TARGET
        and request.method == "GET"
        and (request.header(b"upgrade") or "").lower() == "websocket"
    )

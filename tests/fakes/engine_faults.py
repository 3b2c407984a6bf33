"""What goes wrong in the life of the stand-in engine's process, as it was seen of vLLM 0.32.

    --workers           a worker in the engine's group, and one in a session of its own
    --on-term lame      SIGTERM with a shutdown time-out: streams run on, new requests get 500, and
                        /health says 200
    --on-term freeze    SIGTERM without one: streams are neither ended nor closed
    --on-term swallow   SIGTERM while it starts: nothing happens
    --start-seconds N   before it listens
    --also-listen HOST  one more socket
    --core-seconds N    from the death of its core to its own; two unless told

POST /sleep makes later requests hang, without a word, until POST /wake_up. A prompt with
"[[fault=core_dies]]" ends all streams with an error event and [DONE]; /health says 503 from then on
and the process ends some time later.

POST /hold with a number of tokens makes every stream stand still once it has brought so many, until
POST /let_go: so a test is in the middle of an answer for as long as it likes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

SHUT = "cannot schedule new futures after shutdown"
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--on-term", choices=["leave", "lame", "freeze", "swallow"])
    parser.add_argument("--start-seconds", type=float, default=0)
    parser.add_argument("--also-listen")
    parser.add_argument("--core-seconds", type=float, default=2.0)


class Life:
    """Sole owner of what has become of the process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pids = [os.getpid()]
        self.is_asleep = self.is_leaving = self.is_frozen = self.core_is_dead = False
        self.orders: list[str] = []
        self.over = asyncio.Event()
        self._held_from: int | None = None
        self._let_go = asyncio.Event()
        self.running: Callable[[], int] = lambda: 0
        self._socket: socket.socket | None = None

    async def begin(self) -> None:
        """What happens before it listens."""
        if self.options.workers:
            self.pids += [_fork(leaves=False), _fork(leaves=True)]
        if self.options.on_term not in {None, "leave"}:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, self._term)
        if self.options.also_listen:
            self._socket = socket.create_server((self.options.also_listen, 0))
        await asyncio.sleep(self.options.start_seconds)

    async def gate(self) -> web.Response | None:
        """What a new request runs into; None where it may go on."""
        if self.is_asleep or self.is_frozen:
            await asyncio.Event().wait()
        if self.core_is_dead or self.is_leaving:
            return error(500, DEAD if self.core_is_dead else SHUT, "InternalServerError")
        return None

    async def flow(self, tokens: int) -> bool:
        """After so many tokens of a stream: False when its core is dead."""
        while self._held_from is not None and tokens >= self._held_from:
            await self._let_go.wait()
        if self.is_frozen:
            await asyncio.Event().wait()
        return not self.core_is_dead

    def look(self) -> None:
        """A request has ended, or it was told to leave: it goes with the last of them."""
        if self.is_leaving and not self.running():
            self.over.set()

    def kill_core(self) -> None:
        if not self.core_is_dead:
            self.core_is_dead = True
            self._go_on()
            asyncio.get_running_loop().call_later(self.options.core_seconds, os._exit, 1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sleep", self._sleep),
            web.post("/wake_up", self._wake),
            web.post("/hold", self._hold),
            web.post("/let_go", self._release),
        ]

    async def _hold(self, request: web.Request) -> web.Response:
        self._held_from = await request.json()
        self._let_go.clear()
        return web.Response()

    async def _release(self, _: web.Request) -> web.Response:
        self._go_on()
        return web.Response()

    def _go_on(self) -> None:
        self._held_from = None
        self._let_go.set()

    async def _sleep(self, _: web.Request) -> web.Response:
        self.orders.append("sleep")
        self.is_asleep = True
        return web.Response()

    async def _wake(self, _: web.Request) -> web.Response:
        self.orders.append("wake")
        self.is_asleep = False
        return web.Response()

    def _term(self) -> None:
        self.orders.append("term")
        self.is_leaving = self.options.on_term == "lame"
        self.is_frozen = self.options.on_term == "freeze"
        self.look()


def error(status: int, message: str, kind: str, param: str | None = None) -> web.Response:
    content = {"message": message, "type": kind, "param": param, "code": status}
    return web.json_response({"error": content}, status=status)


def dead_event() -> bytes:
    content = {"message": DEAD, "type": "InternalServerError", "param": None, "code": 500}
    return b"data: " + json.dumps({"error": content}).encode() + b"\n\n"


def metrics(running: int, tokens: int) -> web.Response:
    label = '{engine="0",model_name="stand-in"}'
    lines = [
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{label} {float(running)}",
        f"vllm:num_requests_waiting{label} 0.0",
        f"vllm:kv_cache_usage_perc{label} 0.25",
        f"vllm:generation_tokens_total{label} {float(tokens)}",
    ]
    return web.Response(text="\n".join([*lines, ""]))


@web.middleware
async def in_fastapis_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Unknown paths and wrong methods are told as FastAPI tells them."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return web.json_response({"detail": refusal.reason}, status=refusal.status)


def _fork(*, leaves: bool) -> int:
    """A child that does nothing for ten minutes; killed, the engine does not take it along."""
    if pid := os.fork():
        return pid
    if leaves:
        os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
    os._exit(0)

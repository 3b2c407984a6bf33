"""A stand-in for an engine whose behaviour a test chooses; for speed there is benchmarks/engine.c.

    python tests/fakes/engine.py [--port N | --uds PATH] [--rate TOKENS_PER_SECOND] [--models a,b]

It says "listening on URL" on standard output. GET /stats counts, GET /requests shows the last
bodies with what became of them, and POST /control changes what comes next: any field of `Behaviour`
as JSON, for all requests, or for the next `times`. A prompt may choose for itself instead:
"[[fault=die after=3]]".
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import socket
import struct
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import answers
import dialects
import engine_faults
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BODIES_KEPT = 100
CONTEXT_TOKENS = 8192


@dataclass(frozen=True)
class Behaviour:
    """How requests are answered; `fault` strikes after `after` tokens of the answer.

    die: the process ends · reset: the connection, by RST · truncated: it closes inside the body ·
    short: the body ends well, but without finish_reason and [DONE] · error_event: an error event,
    then [DONE] · error_event_only: without [DONE] · hang: silence for ever · hang_head: not even a
    head · huge: one event of `bytes` · torn: every event in pieces of `bytes` · joined: two events
    a write · crlf: CRLF line ends · comments: a comment before each event · nul: a zero byte in a
    content event · not_utf8: a byte that is none · no_usage · no_finish: no finish_reason ·
    usage_each: usage so far on every event · not_json: HTML with status 200 · status_NNN: that
    status with an error object and the prompt · context: 400 as vLLM words it · context_llamacpp:
    as llama.cpp does · gzip: compressed without being asked · two_usages: the usage event twice ·
    no_done: the body ends well after its usage. What becomes of the process: `engine_faults`.
    """

    fault: str = ""
    after: int = 2
    times: int = 0
    bytes: int = 7
    tokens_per_second: float = 0
    first_token_seconds: float = 0
    is_healthy: bool = True


def _is_probe(body: dict[str, Any]) -> bool:
    """The node's own question whether it computes, which comes when the node has its doubts."""
    return body.get("max_tokens") == 1 and answers.prompt_of(body) == "Hi"


class Engine:
    """Sole owner of the counters, of the bodies that came, and of how to behave."""

    def __init__(self, models: list[str], behaviour: Behaviour, life: engine_faults.Life) -> None:
        self.models = models
        self.life = life
        life.running = lambda: self.running
        self.behaviour = behaviour
        self.running = self.served = self.aborted = self.tokens = self.peak = 0
        self.seen: deque[dict[str, Any]] = deque(maxlen=BODIES_KEPT)
        self._numbers = itertools.count(1)
        self._always = behaviour

    def stats(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "served": self.served,
            "aborted": self.aborted,
            "tokens": self.tokens,
            "peak": self.peak,
            "pids": self.life.pids,
            "orders": self.life.orders,
        }

    def control(self, wanted: dict[str, Any]) -> None:
        """Behave so from now on, or for the next `times` requests."""
        if not wanted.get("times"):
            self._always = replace(self._always, **wanted)
        self.behaviour = replace(self._always, **wanted)

    def behaviour_for(self, prompt: str, *, is_probe: bool) -> Behaviour:
        """The behaviour towards one request; uses up one of the `times`, but for a probe."""
        now = self._always if is_probe and self.behaviour.times else self.behaviour
        if self.behaviour.times and not is_probe:
            left = self.behaviour.times - 1
            self.behaviour = replace(self.behaviour, times=left) if left else self._always
        if chosen := re.search(r"\[\[(.*?)\]\]", prompt):
            types = {name: type(value) for name, value in asdict(now).items()}
            pairs = (pair.split("=", 1) for pair in chosen[1].split())
            now = replace(now, **{name: types[name](value) for name, value in pairs})
        return now

    @contextlib.asynccontextmanager
    async def counted(
        self, request: web.Request, body: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        """Keep the body and count the request while it runs; yields its entry."""
        entry = {
            "number": next(self._numbers),
            "path": request.path,
            "headers": dict(request.headers),
            "body": body,
            "tokens": 0,
            "outcome": "running",
            "is_probe": _is_probe(body),
        }
        self.seen.append(entry)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            yield entry
        except (asyncio.CancelledError, ConnectionError):
            entry["outcome"] = "aborted"
            self.aborted += 1
            raise
        else:
            entry["outcome"] = "served"
            self.served += not entry["is_probe"]
        finally:
            self.tokens += entry["tokens"]
            self.running -= 1
            self.life.look()


class Sent(Exception):
    """A fault has ended the answer early, as it should."""


class Door:
    """The routes."""

    def __init__(self, engine: Engine, api_key: str | None) -> None:
        self._engine = engine
        self._api_key = api_key

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=16 * 2**20, middlewares=[engine_faults.in_fastapis_words]
        )
        chat, completion = (
            (dialects.chat, dialects.chat_steps),
            (dialects.completion, dialects.completion_steps),
        )
        app.add_routes(
            [
                web.get("/health", self._health),
                *self._engine.life.routes(),
                web.get("/metrics", self._metrics),
                web.get("/version", lambda _: _now(web.json_response({"version": "stand-in"}))),
                web.get("/v1/models", self._models),
                web.get("/stats", lambda _: _now(web.json_response(self._engine.stats()))),
                web.get("/requests", lambda _: _now(web.json_response(list(self._engine.seen)))),
                web.post("/control", self._control),
                web.post("/tokenize", self._tokenize),
                web.post("/v1/embeddings", self._embeddings),
                web.post("/v1/chat/completions", lambda r: self._generate(r, *chat)),
                web.post("/v1/completions", lambda r: self._generate(r, *completion)),
                web.post(
                    "/v1/responses",
                    lambda r: self._generate(r, dialects.response, dialects.response_steps),
                ),
            ]
        )
        return app

    async def _health(self, _: web.Request) -> web.Response:
        is_well = self._engine.behaviour.is_healthy and not self._engine.life.core_is_dead
        return web.Response(status=200 if is_well else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return engine_faults.metrics(self._engine.running, self._engine.tokens)

    async def _models(self, _: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": dialects.CREATED, "owned_by": "stand-in"}
            | {"max_model_len": CONTEXT_TOKENS}
            for name in self._engine.models
        ]
        return web.json_response({"object": "list", "data": data})

    async def _control(self, request: web.Request) -> web.Response:
        self._engine.control(await request.json())
        return web.json_response(asdict(self._engine.behaviour))

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        text = body["content"] if "content" in body else answers.prompt_of(body)
        tokens = list(range(answers.count_tokens(text)))
        count = {"count": len(tokens), "max_model_len": CONTEXT_TOKENS}
        return web.json_response({"tokens": tokens} | count)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refused := self._refused(request, body):
            return refused
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        texts = [str(one) for one in given] if isinstance(given[0], str | list) else [str(given)]
        async with self._engine.counted(request, body):
            encoding = body.get("encoding_format") or "float"
            data = [
                {"object": "embedding", "index": at, "embedding": answers.embedding(text, encoding)}
                for at, text in enumerate(texts)
            ]
            count = sum(answers.count_tokens(text) for text in texts)
            usage = {"prompt_tokens": count, "total_tokens": count}
            whole = {"object": "list", "data": data, "model": body["model"], "usage": usage}
            return web.json_response(whole)

    async def _generate(
        self, request: web.Request, whole: Callable[..., Any], steps: Callable[..., Any]
    ) -> web.StreamResponse:
        body = await request.json()
        if refused := self._refused(request, body):
            return refused
        behaviour = self._engine.behaviour_for(answers.prompt_of(body), is_probe=_is_probe(body))
        async with self._engine.counted(request, body) as entry:
            if early := await self._engine.life.gate() or await _refuse(behaviour, body):
                return early
            answer, name = answers.answer(body), f"{entry['number']:08x}"
            await asyncio.sleep(behaviour.first_token_seconds)
            if body.get("stream"):
                stream = Stream(request, behaviour, entry, self._engine.life)
                return await stream.send(steps(body, answer, name), answer)
            await _pause(behaviour, answer.tokens)
            if behaviour.fault in {"die", "reset", "truncated", "hang"}:
                await _strike(behaviour, request)
            entry["tokens"] = answer.tokens * (body.get("n") or 1)
            return web.json_response(whole(body, answer, name))

    def _refused(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if self._api_key and request.headers.get("authorization") != f"Bearer {self._api_key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        if body.get("model") not in self._engine.models:
            return engine_faults.error(
                404, f"The model `{body.get('model')}` does not exist.", "NotFoundError"
            )
        return None


class Stream:
    """One streamed answer, with its fault."""

    def __init__(
        self,
        request: web.Request,
        behaviour: Behaviour,
        entry: dict[str, Any],
        life: engine_faults.Life,
    ) -> None:
        self._request = request
        self._life = life
        self._behaviour = behaviour
        self._entry = entry
        self._response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8"}
        )
        self._held = b""

    async def send(self, steps: Any, answer: answers.Answer) -> web.StreamResponse:
        await self._response.prepare(self._request)
        with contextlib.suppress(Sent):
            for event, tokens in steps:
                if not await self._life.flow(self._entry["tokens"]):
                    await self._die()
                if self._entry["tokens"] == self._behaviour.after and tokens:
                    await self._strike()
                await _pause(self._behaviour, tokens)
                if (shaped := self._shaped(event, answer, tokens)) is not None:
                    self._entry["tokens"] += tokens
                    await self._write(self._framed(shaped))
            await self._response.write(self._held)
        await self._response.write_eof()
        return self._response

    def _shaped(
        self, event: dict[str, Any] | str, answer: answers.Answer, tokens: int
    ) -> dict[str, Any] | str | None:
        fault = self._behaviour.fault
        if isinstance(event, str):
            return None if fault == "no_done" else event
        choices = event.get("choices")
        if fault == "no_usage" and choices == []:
            return None
        if fault == "two_usages" and choices == []:
            self._held = self._framed(event)
        if fault == "no_finish" and choices and choices[0].get("finish_reason"):
            return None
        if fault == "usage_each" and choices:
            return event | {"usage": answer.usage(self._entry["tokens"] + tokens)}
        return event

    def _framed(self, event: dict[str, Any] | str) -> bytes:
        fault, after = self._behaviour.fault, self._behaviour.after
        data = (event if isinstance(event, str) else json.dumps(event)).encode()
        is_struck = self._entry["tokens"] == after + 1
        if fault == "nul" and is_struck:
            data = data.replace(b'"content": "', b'"content": "\x00')
        if fault == "not_utf8" and is_struck:
            data = data.replace(b'"content": "', b'"content": "\xff')
        if fault == "huge" and is_struck:
            data = data.replace(b'"content": "', b'"content": "' + b"x" * self._behaviour.bytes)
        kind = event.get("type") if isinstance(event, dict) else None
        lines = ([b"event: " + kind.encode()] if kind else []) + [b"data: " + data, b"", b""]
        block = (b"\r\n" if fault == "crlf" else b"\n").join(lines)
        return (b": still here\n\n" if fault == "comments" else b"") + block

    async def _write(self, block: bytes) -> None:
        if self._behaviour.fault == "torn":
            for at in range(0, len(block), self._behaviour.bytes):
                await self._response.write(block[at : at + self._behaviour.bytes])
                await asyncio.sleep(0)
        elif self._behaviour.fault == "joined" and not self._held:
            self._held = block
        else:
            await self._response.write(self._held + block)
            self._held = b""

    async def _strike(self) -> None:
        fault = self._behaviour.fault
        if fault in {"error_event", "core_dies"}:
            if fault == "core_dies":
                self._life.kill_core()
            await self._die()
        if fault == "error_event_only":
            await self._response.write(engine_faults.dead_event())
            raise Sent
        if fault == "short":
            raise Sent
        await _strike(self._behaviour, self._request)

    async def _die(self) -> None:
        await self._response.write(engine_faults.dead_event() + b"data: [DONE]\n\n")
        raise Sent


async def _strike(behaviour: Behaviour, request: web.Request) -> None:
    if behaviour.fault == "die":
        os._exit(9)
    if behaviour.fault == "hang":
        await asyncio.Event().wait()
    if behaviour.fault in {"reset", "truncated"} and request.transport:
        if behaviour.fault == "reset":
            no_wait = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, no_wait
            )
            request.transport.abort()
        else:
            request.transport.close()
        raise ConnectionResetError


async def _refuse(behaviour: Behaviour, body: dict[str, Any]) -> web.Response | None:
    fault = behaviour.fault
    if fault == "hang_head":
        await asyncio.Event().wait()
    if fault == "not_json":
        return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
    if fault == "gzip":
        whole = web.json_response({"choices": []})
        whole.enable_compression(web.ContentCoding.gzip)
        return whole
    if fault == "context":
        message = (
            f"This model's maximum context length is {CONTEXT_TOKENS} tokens. However, your prompt "
            f"contains at least {CONTEXT_TOKENS + 1} input tokens, which is too long."
        )
        return engine_faults.error(400, message, "BadRequestError", param="input_tokens")
    if fault == "context_llamacpp":
        facts = {"n_prompt_tokens": CONTEXT_TOKENS + 1, "n_ctx": CONTEXT_TOKENS}
        message = "the request exceeds the available context size, try increasing it"
        error = {"code": 400, "message": message, "type": "exceed_context_size_error"} | facts
        return web.json_response({"error": error}, status=400)
    if fault.startswith("status_"):
        status = int(fault.removeprefix("status_"))
        secret = f"Traceback: /srv/engine/worker.py at 10.0.0.7: {answers.prompt_of(body)}"
        return engine_faults.error(status, secret, "InternalServerError")
    return None


async def _now(response: web.Response) -> web.Response:
    return response


async def _pause(behaviour: Behaviour, tokens: int) -> None:
    if behaviour.tokens_per_second:
        await asyncio.sleep(tokens / behaviour.tokens_per_second)
    elif tokens:
        await asyncio.sleep(0)  # others get their turn, as with an engine that batches


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uds", type=Path)
    parser.add_argument("--rate", type=float, default=0, help="tokens per second of each stream")
    parser.add_argument("--models", default="stand-in")
    parser.add_argument("--api-key")
    engine_faults.arguments(parser)
    options = parser.parse_args()
    life = engine_faults.Life(options)
    await life.begin()
    behaviour = Behaviour(tokens_per_second=options.rate)
    engine = Engine(options.models.split(","), behaviour, life)
    app = Door(engine, options.api_key).application()
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        if options.uds:
            options.uds.unlink(missing_ok=True)
            await web.UnixSite(runner, options.uds).start()
            print(f"listening on unix://{options.uds}", flush=True)
        else:
            await web.TCPSite(runner, "127.0.0.1", options.port).start()
            host, port = runner.addresses[0]
            print(f"listening on http://{host}:{port}", flush=True)
        await life.over.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    logging.getLogger("aiohttp.server").disabled = True  # its tracebacks are the faults asked for
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

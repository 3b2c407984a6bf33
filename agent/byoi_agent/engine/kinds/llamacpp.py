"""llama.cpp as a managed engine: the light one, which answers within a second of its start.

It comes as a wheel (xllamacpp) that holds the C++ server and needs nothing else, in an environment
of its own; see `serve_llamacpp.py` for what runs there.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.base import Sleepless, WithoutAdapters
from byoi_agent.engine.kinds.errors import translate
from byoi_agent.engine.kinds.metrics import ask_load
from byoi_agent.engine.kinds.tokenizers import count_with_llamacpp
from byoi_agent.engine.life import Limits
from byoi_agent.engine.process import LaunchSpec
from byoi_agent.engine.runtimes import RuntimeSpec
from byoi_agent.engine.view import ServedModel
from byoi_agent.errors import ConfigError
from byoi_agent.models.resolve import GgufModel, again

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.process import Ended
    from byoi_agent.engine.runtimes import Runtimes
    from byoi_agent.engine.view import EngineLoad
    from byoi_agent.models.catalogue import ModelEntry
    from byoi_agent.models.hub import ModelStore
    from byoi_agent.models.wheels import Progress
    from byoi_wire.usage import Usage

_VERSION: Final = "2026.10.11549"
_START_SECONDS: Final = 30.0
_LOAD_BYTES_PER_SECOND: Final = 50_000_000  # weights from a slow disk
_SOCKET_PATH_BYTES: Final = 100  # Linux allows 107, macOS 103
_KEY_VARIABLE: Final = "BYOI_ENGINE_KEY"
_SERVE: Final = Path(__file__).with_name("serve_llamacpp.py")
_HASHES: Final = (  # one per platform's wheel
    "1b76730ab9af47ec8d05a3d55154305fa92642f694dd9ad87d9e5a5e9956a59d",
    "1f2a08052bb653659bcf1bedbbaf86b97f41dd46aa2763d596d7f27c5d89a689",
    "4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781",
    "7a04d90562878fde09a106f9618810e67cfa07ed46b946705e0b95c9e5f33edb",
    "9993211c112a8f0ecc338b4a9a2ea40a5f12a1a10b980089eb0f684fa32f921b",
    "aef25324f172925988378cf5c14dc6ec4291b889a06aa0388332e75d69c8bd93",
    "b9d341c07245b246d235a7186b0df8b892a3665fd92e37e1de606eaeff1d5265",
    "c17ee1163006f70726abb9f72137830818f3d8cb60bfc34cb232d08428eaa22b",
    "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
    "cd580dd0a984e0d3ad2d1f7115a064fc2383b9d7a616521819e7a37e7de2c6d2",
    "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",
)
_IS_MEASURED: Final = sys.platform == "linux" and platform.machine() == "x86_64"

RUNTIME: Final = RuntimeSpec(
    name="llamacpp",
    version=_VERSION,
    requirements=" \\\n    ".join(
        [f"xllamacpp=={_VERSION}", *(f"--hash=sha256:{digest}" for digest in _HASHES)]
    ),
    unpacked_bytes=106_070_000 if _IS_MEASURED else None,
)

_FAILURES: Final = (
    (re.compile(r"No module named"), "its environment is damaged; remove it from the cache folder"),
    (re.compile(r"invalid magic|failed to load model"), "the model's file cannot be loaded"),
    (re.compile(r"(?i)failed to allocate|out of memory|bad_alloc"), "there is not enough memory"),
    (re.compile(r"couldn't bind|bind.*failed"), "its socket cannot be made"),
)


class LlamaCpp(WithoutAdapters, Sleepless):
    """One llama.cpp server with one model; see `EngineKind` for the attributes."""

    name = "llamacpp"
    version: str | None = _VERSION
    extra_fields = frozenset({"ignore_eos", "min_p", "repeat_penalty", "top_k", "typical_p"})
    counts_all_choices = False  # its usage is the last choice's alone
    own_seats = 0
    uses_gpus = 0

    def __init__(
        self,
        model: ModelEntry | GgufModel,
        *,
        runtimes: Runtimes,
        store: ModelStore,
        socket_path: Path,
        slots: int = 4,
        context_tokens: int = 2048,
        threads: int | None = None,
        on_loopback: bool = sys.platform == "win32",
    ) -> None:
        if len(os.fsencode(socket_path)) > _SOCKET_PATH_BYTES or socket_path.suffix != ".sock":
            raise ConfigError(f"an engine's socket needs a short path in .sock: {socket_path}")
        self.slots = slots
        self._port = _free_port() if on_loopback else None
        self.address = EngineAddress.parse(f"unix://{socket_path}")
        if on_loopback:  # which any account of the machine can reach
            key = secrets.token_urlsafe(32)
            self.address = EngineAddress.parse(f"http://127.0.0.1:{self._port}", key)
        self._model = model
        self._runtimes = runtimes
        self._store = store
        self._socket_path = socket_path
        self._context_tokens = min(context_tokens, model.context_tokens)
        self._threads = threads or len(_cores())
        self.weight_bytes = (
            model.weight_bytes if isinstance(model, GgufModel) else model.unpacked_bytes
        )
        slowly = self.weight_bytes // _LOAD_BYTES_PER_SECOND
        self.limits = Limits(startup_seconds=_START_SECONDS + slowly, drain_seconds=10.0)
        self.offers = (
            ServedModel(
                id=model.id,
                engine_id=model.id,
                routes=(probes.CHAT, probes.COMPLETIONS, probes.EMBEDDINGS, probes.RESPONSES),
                context_tokens=self._context_tokens,
                created_at=model.created_at,
                features=model.features,
            ),
        )

    async def prepare(self, report: Callable[[Progress], None]) -> LaunchSpec:
        """Environment and model, fetched if they are not here.

        Raises:
            ConfigError: something that was pinned does not fit.
            InstallError: something could not be fetched.
        """
        python = await self._runtimes.ensure(RUNTIME, report)
        file = await self._file(report)
        argv = (str(python), "-I", str(_SERVE), json.dumps(self.serve_options(file)))
        environment = {"OMP_WAIT_POLICY": "PASSIVE"}
        if self.address.api_key is not None:  # not among the arguments, which others may list
            environment[_KEY_VARIABLE] = self.address.api_key
        return LaunchSpec(argv, environment, stop_seconds=5.0)

    async def _file(self, report: Callable[[Progress], None]) -> Path:
        if isinstance(self._model, GgufModel):
            await asyncio.to_thread(again, self._model)
            return self._model.path
        return await self._store.ensure(self._model, report)

    def serve_options(self, file: Path) -> dict[str, Any]:
        """What `serve_llamacpp.py` is told."""
        where = {} if self._port is None else {"port": self._port}
        return {
            **where,
            "model_path": str(file),
            "model_id": self._model.id,
            "socket_path": str(self._socket_path),
            "slots": self.slots,
            "context_tokens": self._context_tokens,
            "threads": self._threads,
            "chat_template": self._model.chat_template,
            "sampling": dict(self._model.sampling),
        }

    async def discover(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """Health, the list of models, one token.

        Raises:
            EngineError: not yet.
        """
        models = await self.look(client)
        await probes.must_list(client, self._model.id)
        await self.canary(client)
        return models

    async def look(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """GET /health; what it serves never changes.

        Raises:
            EngineError: no answer, or another than 200.
        """
        await probes.ask(client, "GET", "/health")
        return self.offers

    async def canary(self, client: EngineClient) -> None:
        """One token.

        Raises:
            EngineError: it did not come.
        """
        await probes.one_token(client, self._model.id)

    async def load(self, client: EngineClient) -> EngineLoad | None:
        """By its /metrics."""
        return await ask_load(client)

    async def count(
        self, client: EngineClient, path: str, request: Mapping[str, Any], text: str
    ) -> Usage | None:
        """By its own tokenizer; None when it is gone."""
        return await count_with_llamacpp(client, path, request, text)

    def translate_error(
        self, status: int, body: bytes, path: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """See `kinds.errors`."""
        return translate(status, body, path)

    def explain(self, ended: Ended) -> str:
        """Known failures by a line of the log, others by their code and the last line."""
        for line in reversed(ended.log):
            for pattern, reason in _FAILURES:
                if pattern.search(line):
                    return reason
        return ended.in_words()


def _free_port() -> int:
    """One that nobody has now; where another takes it first, the engine says so and ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cores() -> set[int] | range:
    """The cores that we may use."""
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)

"""An OpenAI-compatible server that somebody else runs: found, watched, and never stopped by us."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.base import WithoutAdapters
from byoi_agent.engine.kinds.errors import translate
from byoi_agent.engine.kinds.lenders import lender_of
from byoi_agent.engine.kinds.metrics import ask_load
from byoi_agent.engine.kinds.tokenizers import count_with_llamacpp, count_with_vllm
from byoi_agent.engine.life import Limits
from byoi_agent.engine.view import ServedModel
from byoi_agent.errors import EngineAbsent, EngineError
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.engine.address import EngineAddress
    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.kinds.lenders import Lender
    from byoi_agent.engine.process import Ended
    from byoi_agent.engine.view import EngineLoad
    from byoi_agent.models.wheels import Progress
    from byoi_wire.usage import Usage

ATTACHED: Final = "attached"

_CHAT_TRIES: Final = 3
"""A list may begin with models that cannot chat; each try may load one, so there are few."""

_PROBED: Final[Mapping[str, Mapping[str, Any]]] = {
    probes.EMBEDDINGS: {"input": "a"},
    probes.RESPONSES: {"input": "Hi", "max_output_tokens": 16},
}


_EXTRA_FIELDS: Final = frozenset({"min_p", "repeat_penalty", "repetition_penalty", "top_k"})


class Attached(WithoutAdapters):
    """A server by its URL; see `EngineKind` for the attributes.

    `model` narrows what is offered to one id. Which routes it has beyond chat and completions is
    asked once per connection, of the first model that answers, and so is how a server on this very
    machine gives its models' memory back.
    """

    name = ATTACHED
    extra_fields = _EXTRA_FIELDS
    counts_all_choices = True
    own_seats = 0
    offers: tuple[ServedModel, ...] = ()
    weight_bytes = uses_gpus = 0
    limits = Limits(
        startup_seconds=180.0, drain_seconds=1.0, sleep_seconds=10.0, last_back_off_seconds=60.0
    )

    def __init__(
        self, address: EngineAddress, *, model: ModelId | None = None, slots: int = 8
    ) -> None:
        self.address = address
        self.slots = slots
        self.version: str | None = None
        self._only = model
        self._probed_model: str | None = None
        self._routes: tuple[str, ...] = ()
        self._tokenizer: Callable[..., Any] | None = None
        self._lender: Lender | None = None
        self._offered: tuple[str, ...] = ()

    @property
    def can_sleep(self) -> bool:
        """Whether it gives memory back when it is asked; known from its first answer on."""
        return self._lender is not None

    async def prepare(self, report: Callable[[Progress], None]) -> None:  # noqa: ARG002
        """Nothing is ours to fetch or start; what was found out before may no longer hold."""
        self._probed_model = None

    async def discover(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """The list of models, and once per connection what they can do.

        Raises:
            EngineError: it does not answer, or not with a model that is wanted.
        """
        listed = await probes.listed_models(client)
        offered = [entry for entry in listed if self._only in {None, entry["id"]}]
        if not offered:
            wanted = self._only or "a model"
            raise EngineError(f"{self.address.url} does not list {wanted}")
        self._offered = tuple(entry["id"] for entry in offered)
        if self._probed_model not in self._offered:
            await self._probe(client, list(self._offered))
        return tuple(self._served(entry) for entry in offered)

    async def look(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """The list of models, which costs a server nothing.

        Raises:
            EngineError: it does not answer.
        """
        return await self.discover(client)

    async def canary(self, client: EngineClient) -> None:
        """One token of the model that was probed.

        Raises:
            EngineError: it did not come.
        """
        if self._probed_model is None:
            raise EngineError(f"{self.address.url} has not answered yet")
        await probes.one_token(client, self._probed_model)

    async def sleep(self, client: EngineClient) -> None:
        """Have it unload what is offered here; it runs on, and serves its owner what he asks for.

        One that is gone holds nothing any more.

        Raises:
            EngineError: it did not.
        """
        if self._lender is None:
            raise EngineError(f"{self.address.url} has no way to give memory back")
        with suppress(EngineAbsent):
            await self._lender.free(client, self._offered)

    async def wake(self, client: EngineClient) -> None:
        """Most of them load by themselves what they are asked for.

        Raises:
            EngineError: it did not.
        """
        if self._lender is not None:
            await self._lender.restore(client)

    async def load(self, client: EngineClient) -> EngineLoad | None:
        """By its /metrics."""
        return await ask_load(client)

    async def count(
        self, client: EngineClient, path: str, request: Mapping[str, Any], text: str
    ) -> Usage | None:
        """By its own tokenizer where it has one that we know."""
        if self._tokenizer is None:
            return None
        usage: Usage | None = await self._tokenizer(client, path, request, text)
        return usage

    def translate_error(
        self, status: int, body: bytes, path: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """See `kinds.errors`."""
        return translate(status, body, path)

    def explain(self, ended: Ended) -> str:  # noqa: ARG002
        """It is not ours to end, so this is never shown."""
        return "it was left"

    async def _probe(self, client: EngineClient, names: list[str]) -> None:
        self._lender = await lender_of(client) if self.address.is_local else None
        await self.wake(client)  # it may sleep since a node before this one
        self._probed_model = await _first_that_chats(client, names)
        self._routes = (probes.CHAT, probes.COMPLETIONS)
        for path, body in _PROBED.items():
            if await probes.has_route(client, path, {"model": self._probed_model, **body}):
                self._routes = (*self._routes, path)
        self.version = await _version(client)
        self._tokenizer = await _tokenizer(client, self._probed_model)
        # vLLM keeps tenants' prompts apart by it; others might refuse a field they do not know.
        salt = {"cache_salt"} if self._tokenizer is count_with_vllm else set()
        self.extra_fields = _EXTRA_FIELDS | salt

    def _served(self, entry: Mapping[str, Any]) -> ServedModel:
        meta = entry.get("meta")
        told = meta.get("n_ctx") if isinstance(meta, dict) else None
        context = entry.get("max_model_len") or told
        # Some servers answer with the time of asking, which would look like news each time.
        return ServedModel(
            id=ModelId(entry["id"]),
            engine_id=entry["id"],
            routes=self._routes,
            context_tokens=probes.positive(context),
        )


async def _first_that_chats(client: EngineClient, names: list[str]) -> str:
    last = EngineError("no model answers")
    for name in names[:_CHAT_TRIES]:
        try:
            await probes.one_token(client, name)
        except EngineError as error:
            last = error
        else:
            return name
    raise last


async def _version(client: EngineClient) -> str | None:
    """As vLLM and Ollama tell it."""
    for path in ("/version", "/api/version"):
        try:
            version = (await probes.ask(client, "GET", path)).get("version")
        except EngineError:
            continue
        if isinstance(version, str):
            return version[:40]
    return None


async def _tokenizer(client: EngineClient, model: str) -> Callable[..., Any] | None:
    """Whose /tokenize it is: vLLM answers a count, llama.cpp a list."""
    body = {"model": model, "prompt": "a", "content": "a"}
    data = json.dumps(body).encode()
    try:
        answer = await client.fetch(
            "POST", "/tokenize", data, timeout_seconds=probes.MODELS_SECONDS
        )
        content = json.loads(answer.body)
    except (EngineError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("count"), int):
        return count_with_vllm
    return count_with_llamacpp if isinstance(content.get("tokens"), list) else None

"""How servers of somebody else's give their models' memory back, each by its own routes.

Sources: Ollama's docs/api.md ("Unload a model", "List Running Models"), LM Studio's REST API v1
(since 0.4), llama.cpp's tools/server/README.md (router mode), vLLM's routes of development mode.
SGLang has one as well, but its scheduler ends with an error where any request is under way, and a
server of somebody else's may have some: it is not asked.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from byoi_agent.engine.kinds import probes
from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from byoi_agent.engine.client import EngineClient

_OK: Final = 200
_FREE_SECONDS: Final = 30.0
"""For one order; whoever is in a hurry cancels it."""

_LOOK_SECONDS: Final = 0.05
"""Until it is asked again whether it has done what it was told."""


class Lender(Protocol):
    """One way to get memory back. `name` is the server's, for people."""

    name: str

    async def free(self, client: EngineClient, models: Collection[str]) -> None:
        """Have it give back what these models take; what else it has loaded stays.

        It is over once the server, asked again, has none of them loaded any more: most answer the
        order before they have obeyed it. Whoever cannot wait for that cancels it.

        Raises:
            EngineError: it did not.
        """
        ...

    async def restore(self, client: EngineClient) -> None:
        """Have it serve again, where a request alone does not bring that about.

        Raises:
            EngineError: it does not.
        """
        ...


class LoadsByItself:
    """A server that loads a model when it is asked for one."""

    async def restore(self, client: EngineClient) -> None:
        """Nothing to do."""


class Ollama(LoadsByItself):
    """A request without a prompt whose `keep_alive` is 0 unloads."""

    name = "Ollama"

    async def free(self, client: EngineClient, models: Collection[str]) -> None:
        """One after another: each is answered at once."""
        for model in await self._of(client, models):
            body = {"model": model, "keep_alive": 0, "stream": False}
            await _order(client, "/api/generate", body)
        await _until_gone(lambda: self._of(client, models))

    async def _of(self, client: EngineClient, models: Collection[str]) -> list[str]:
        return [model for model in await self.loaded(client) if model in models]

    async def loaded(self, client: EngineClient) -> list[str]:
        """As `ollama ps`."""
        return _texts(await probes.ask(client, "GET", "/api/ps"), "models", "model")


class LmStudio(LoadsByItself):
    """Each loaded instance of a model has a name of its own."""

    name = "LM Studio"

    async def free(self, client: EngineClient, models: Collection[str]) -> None:
        """Instances of a model, and those that are listed as models themselves."""
        for instance in await self._of(client, models):
            await _order(client, "/api/v1/models/unload", {"instance_id": instance})
        await _until_gone(lambda: self._of(client, models))

    async def _of(self, client: EngineClient, models: Collection[str]) -> list[str]:
        found = await self.loaded(client)
        return [one for key, one in found if not {key, one}.isdisjoint(models)]

    async def loaded(self, client: EngineClient) -> list[tuple[str, str]]:
        """Each loaded instance, behind its model's key."""
        found = []
        for model in _entries(await probes.ask(client, "GET", "/api/v1/models"), "models"):
            if "loaded_instances" not in model:
                raise EngineError("/api/v1/models does not tell what is loaded")
            key = str(model.get("key"))
            found += [(key, each) for each in _texts(model, "loaded_instances", "id")]
        return found


class LlamaRouter(LoadsByItself):
    """llama-server without a model of its own: each has a process, which is ended."""

    name = "llama.cpp's router"

    async def free(self, client: EngineClient, models: Collection[str]) -> None:
        """All that are loaded or on the way there."""
        for model in await self._of(client, models):
            await _order(client, "/models/unload", {"model": model})
        await _until_gone(lambda: self._of(client, models))

    async def _of(self, client: EngineClient, models: Collection[str]) -> list[str]:
        return [model for model in await self.loaded(client) if model in models]

    async def loaded(self, client: EngineClient) -> list[str]:
        """Those with memory."""
        found = []
        for model in _entries(await probes.ask(client, "GET", "/models"), "data"):
            status = model.get("status")
            value = status.get("value") if isinstance(status, dict) else None
            if not isinstance(value, str):
                raise EngineError("/models does not tell what is loaded")
            if value != "unloaded":
                found.append(str(model.get("id")))
        return found


class VllmAsleep:
    """vLLM whose owner started it with its sleep mode and its routes of development mode."""

    name = "vLLM"

    async def free(self, client: EngineClient, models: Collection[str]) -> None:  # noqa: ARG002
        """Level 1: the weights go to the host's memory. It has one model, and its adapters."""
        await _order(client, "/sleep?level=1")

        async def awake() -> bool:
            return not await self.is_asleep(client)

        await _until_gone(awake)

    async def restore(self, client: EngineClient) -> None:
        """A request to one that sleeps would hang for ever."""
        if await self.is_asleep(client):
            await _order(client, "/wake_up")

    async def is_asleep(self, client: EngineClient) -> bool:
        """As it says itself."""
        asleep = (await probes.ask(client, "GET", "/is_sleeping")).get("is_sleeping")
        if not isinstance(asleep, bool):
            raise EngineError("/is_sleeping does not tell whether it sleeps")
        return asleep


async def lender_of(client: EngineClient) -> Lender | None:
    """By what it answers; None where nothing that we know gives its memory back."""
    ollama, studio, router, vllm = Ollama(), LmStudio(), LlamaRouter(), VllmAsleep()
    looks = (
        (ollama, ollama.loaded),
        (studio, studio.loaded),
        (router, router.loaded),
        (vllm, vllm.is_asleep),
    )
    for lender, look in looks:
        try:
            await look(client)
        except EngineError:
            continue
        return lender
    return None


async def _until_gone(look: Callable[[], Awaitable[object]]) -> None:
    """Until there is nothing to be seen any more."""
    while await look():  # noqa: ASYNC110 a server elsewhere wakes nobody
        await asyncio.sleep(_LOOK_SECONDS)


async def _order(client: EngineClient, path: str, body: dict[str, Any] | None = None) -> None:
    """POST it.

    Raises:
        EngineError: it was not done.
    """
    data = b"" if body is None else json.dumps(body).encode()
    answer = await client.fetch("POST", path, data, timeout_seconds=_FREE_SECONDS)
    if answer.status != _OK:
        raise EngineError(f"{path} answered {answer.status}")


def _entries(answer: dict[str, Any], field: str) -> list[dict[str, Any]]:
    listed = answer.get(field)
    if not isinstance(listed, list):
        raise EngineError(f"no list of {field} was answered")
    return [entry for entry in listed if isinstance(entry, dict)]


def _texts(answer: dict[str, Any], field: str, name: str) -> list[str]:
    found = (entry.get(name) for entry in _entries(answer, field))
    return [text for text in found if isinstance(text, str)]

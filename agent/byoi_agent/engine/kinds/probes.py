"""Questions that any OpenAI-compatible engine can answer, asked with fixed paths only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.client import EngineClient

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
RESPONSES: Final = "/v1/responses"
MODELS_SECONDS: Final = 5.0
TOKEN_SECONDS: Final = 60.0


async def ask(
    client: EngineClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_seconds: float = MODELS_SECONDS,
) -> dict[str, Any]:
    """A JSON object by GET, or by POST of one.

    Raises:
        EngineError: no answer, another status than 200, or no JSON object.
    """
    data = b"" if body is None else json.dumps(body).encode()
    answer = await client.fetch(method, path, data, timeout_seconds=timeout_seconds)
    if answer.status != 200:  # noqa: PLR2004 HTTP's OK
        raise EngineError(f"{path} answered {answer.status}")
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path} answered no JSON") from error
    if not isinstance(content, dict):
        raise EngineError(f"{path} answered no JSON object")
    return content


async def listed_models(client: EngineClient) -> list[dict[str, Any]]:
    """The entries of /v1/models that have an id.

    Raises:
        EngineError: see `ask`.
    """
    listed = (await ask(client, "GET", "/v1/models")).get("data")
    return [
        entry
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]


async def must_list(client: EngineClient, model: str) -> None:
    """Make sure that it serves under the name that it was given.

    Raises:
        EngineError: it does not list that name, or see `ask`.
    """
    if model not in [entry["id"] for entry in await listed_models(client)]:
        raise EngineError(f"the engine does not list {model}")


async def one_token(client: EngineClient, model: str, seconds: float = TOKEN_SECONDS) -> None:
    """Have it compute one token; `/health` alone says nothing about that.

    Raises:
        EngineError: it did not.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 1,
    }
    answer = await ask(client, "POST", CHAT, body, timeout_seconds=seconds)
    if not answer.get("choices"):
        raise EngineError(f"{CHAT} answered without a choice")


async def has_route(client: EngineClient, path: str, body: Mapping[str, Any]) -> bool:
    """Whether it serves a tiny request on this route."""
    try:
        await ask(client, "POST", path, body, timeout_seconds=TOKEN_SECONDS)
    except EngineError:
        return False
    return True


def positive(value: object) -> int | None:
    """A count as an engine's JSON holds it, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

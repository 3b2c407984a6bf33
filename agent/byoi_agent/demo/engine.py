"""The demo's engine: fetched once before any node starts, or somebody else's and asked first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.demo.shared_engine import SharedEngine
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.choice import engine_kind, is_vllm, model_of, vllm_release
from byoi_agent.engine.kinds.llamacpp import RUNTIME
from byoi_agent.engine.kinds.vllm import Vllm
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.errors import AgentError, EngineError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.hub import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.config.paths import Paths
    from byoi_agent.demo.choices import Choices
    from byoi_agent.demo.folder import DemoFolder
    from byoi_agent.demo.talk import Talk
    from byoi_agent.models.wheels import Progress

_CALL_SECONDS: Final = 10.0


def usual_engine(paths: Paths) -> str:
    """The light one, so that the first answer never waits for gigabytes, or a vLLM that is here.

    That is where it is installed and this machine has a GPU that it can use.
    """
    try:
        release = vllm_release("vllm")
    except AgentError:
        return "llamacpp"
    if release.build != "cuda":
        return "llamacpp"
    folder = Runtimes(paths.engines_folder).folder_of(release.runtime())
    return "vllm" if folder.exists() else "llamacpp"


def provenance_of(engine: str, paths: Paths) -> str | None:
    """Whose build will be installed, where that must be said first.

    Raises:
        ConfigError: there is no such release, or it cannot run here.
        EngineError: the GPU's driver does not answer.
    """
    if not is_vllm(engine):
        return None
    release = vllm_release(engine)
    is_here = Runtimes(paths.engines_folder).folder_of(release.runtime()).exists()
    return None if is_here else release.provenance


async def fetch_engine(
    engine: str, model: str | None, paths: Paths, report: Callable[[Progress], None]
) -> None:
    """Environment and model into the cache; at once where they are there.

    Raises:
        ConfigError: the model is unknown, or what the index serves is not what was pinned.
        InstallError: it could not be fetched.
    """
    kind = engine_kind(Settings(engine=engine, model=model), paths) if is_vllm(engine) else None
    if isinstance(kind, Vllm):
        await kind.fetch(report)
        return
    chosen = model_of(Settings(engine=engine, model=model), paths)
    await Runtimes(paths.engines_folder).ensure(RUNTIME, report)
    if isinstance(chosen, ModelEntry):  # others are here: they were pulled, or are the owner's
        await ModelStore(paths.models_folder).ensure(chosen, report)


def shared_engine(choices: Choices, folder: DemoFolder, paths: Paths, talk: Talk) -> SharedEngine:
    """The one engine of a demo with several nodes, not started yet.

    Raises:
        ConfigError: it cannot run here, or the model is none that it serves.
    """
    settings = Settings(
        engine=choices.engine,
        model=choices.model,
        data_dir=folder.root / "engine",
        cache_dir=paths.cache,
    )
    own = resolve(settings, os.environ)
    return SharedEngine(engine_kind(settings, own), own, talk)


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

"""From the owner's settings to the engine that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.given import GivenEnvironment
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.engine.kinds.llamacpp import LlamaCpp
from byoi_agent.engine.kinds.vllm import Sizes, Vllm
from byoi_agent.engine.kinds.vllm_releases import build_here, obstacle, release
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.folders import ModelFolder
from byoi_agent.models.hub import ModelStore
from byoi_agent.models.resolve import GgufModel, resolve
from byoi_agent.models.store import Store
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.given import Environments
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.kinds.vllm_releases import Release
    from byoi_agent.models.catalogue import ModelEntry
    from byoi_agent.models.resolve import Model

_ATTACHED_SLOTS: Final = 8
_LLAMACPP_SLOTS: Final = 4
_LLAMACPP_CONTEXT_TOKENS: Final = 2048


def engine_kind(
    settings: Settings, paths: Paths, adapters: tuple[AdapterSetting, ...] = ()
) -> EngineKind:
    """The engine that the owner chose.

    Raises:
        ConfigError: its address is none, it cannot run here, the model is none that it serves, or
            it takes no adapters.
        EngineError: the GPU's driver does not answer, so that the choice must wait.
    """
    if is_vllm(settings.engine):
        return _vllm(settings, paths, adapters)
    if adapters:
        raise ConfigError(f"{settings.engine} takes no adapters; use the engine vllm")
    if settings.engine == "llamacpp":
        return LlamaCpp(
            _llamacpp_model(settings, paths),
            runtimes=Runtimes(paths.engines_folder),
            store=_catalogue_store(settings, paths),
            socket_path=paths.engine_socket,
            slots=settings.slots or _LLAMACPP_SLOTS,
            context_tokens=settings.context_tokens or _LLAMACPP_CONTEXT_TOKENS,
        )
    return Attached(
        EngineAddress.parse(settings.engine, settings.engine_api_key),
        model=ModelId(settings.model) if settings.model else None,
        slots=settings.slots or _ATTACHED_SLOTS,
    )


def is_vllm(engine: str) -> bool:
    """Whether a setting means vLLM, in whatever version."""
    return engine.partition("@")[0] == "vllm"


def is_managed(engine: str) -> bool:
    """Whether a setting means an engine that we start ourselves."""
    return engine == "llamacpp" or is_vllm(engine)


def with_own_code(kinds: Iterable[EngineKind]) -> list[ModelId]:
    """The models whose own code runs here, as the owner has allowed by name."""
    return [
        offered.id
        for kind in kinds
        if isinstance(kind, Vllm) and kind.runs_own_code
        for offered in kind.offers
    ]


def vllm_release(engine: str) -> Release:
    """The release that a setting means, in this machine's build.

    Raises:
        ConfigError: there is no such release, or it cannot run here.
        EngineError: the GPU's driver does not answer.
    """
    chosen = release(engine.partition("@")[2] or None, build_here())
    if (why := obstacle(chosen)) is not None:
        raise ConfigError(f"vllm cannot run on this machine: {why}; use the engine llamacpp")
    return chosen


def model_of(settings: Settings, paths: Paths) -> Model:
    """What the owner's name for the model means; the catalogue's own choice where there is none.

    Raises:
        ConfigError: it means nothing here, or must not be served.
    """
    if settings.model is None:
        return find(DEFAULT_MODEL)
    return resolve(settings.model, Store(paths.models_folder), settings.remote_code)


def _llamacpp_model(settings: Settings, paths: Paths) -> ModelEntry | GgufModel:
    model = model_of(settings, paths)
    if isinstance(model, ModelFolder):
        raise ConfigError(
            f"{settings.model} is safetensors, and llama.cpp reads GGUF; use the engine vllm, or "
            "pull a GGUF of it"
        )
    return model


def _vllm_model(settings: Settings, paths: Paths) -> ModelEntry | ModelFolder:
    model = model_of(settings, paths)
    if isinstance(model, GgufModel):
        raise ConfigError(
            f"{settings.model} is a GGUF, and vLLM is given safetensors here; use the engine "
            "llamacpp, or pull the model in safetensors"
        )
    return model


def _catalogue_store(settings: Settings, paths: Paths) -> ModelStore:
    return ModelStore(paths.models_folder, may_download=settings.downloads == "allowed")


def _environments(settings: Settings, paths: Paths) -> Environments:
    if settings.vllm_python is None:
        return Runtimes(paths.engines_folder)
    return GivenEnvironment(settings.vllm_python, "vllm", "vllm_python")


def _vllm(settings: Settings, paths: Paths, adapters: tuple[AdapterSetting, ...]) -> Vllm:
    return Vllm(
        _vllm_model(settings, paths),
        vllm_release(settings.engine),
        runtimes=_environments(settings, paths),
        store=_catalogue_store(settings, paths),
        engines_folder=paths.engines_folder,
        models_folder=paths.models_folder,
        socket_path=paths.engine_socket,
        sizes=Sizes(
            slots=settings.slots,
            context_tokens=settings.context_tokens,
            kv_gib=settings.kv_cache_gib,
            gpu_share=settings.gpu_memory_share,
            gpus=settings.tensor_parallel,
        ),
        adapters=adapters,
    )

"""vLLM as a managed engine: the one for GPUs, in an environment of its own per release.

It serves one model on a unix socket of ours: routes of its own answer without a key (`/sleep`,
`/metrics`, `/invocations`, which even computes), so it must never listen where others could ask.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.errors import translate
from byoi_agent.engine.kinds.metrics import ask_load
from byoi_agent.engine.kinds.tokenizers import count_with_vllm
from byoi_agent.engine.kinds.vllm_adapters import Adapters
from byoi_agent.engine.kinds.vllm_arguments import Launch, argv_of, default_kv_gib, environment_of
from byoi_agent.engine.kinds.vllm_failures import last_error, reason_in
from byoi_agent.engine.kinds.vllm_families import Parsers, parsers_of
from byoi_agent.engine.life import Limits
from byoi_agent.engine.process import LaunchSpec
from byoi_agent.engine.view import ServedModel
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.conversion import ensure_safetensors
from byoi_agent.models.folders import ModelFolder
from byoi_agent.models.headers import config_in
from byoi_agent.models.resolve import again
from byoi_agent.planning.architecture import text_model
from byoi_agent.planning.rope import stretch
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.given import Environments
    from byoi_agent.engine.kinds.vllm_releases import Release
    from byoi_agent.engine.process import Ended
    from byoi_agent.engine.view import EngineLoad
    from byoi_agent.models.hub import ModelStore
    from byoi_agent.models.wheels import Progress
    from byoi_wire.usage import Usage

SHUTDOWN_SECONDS: Final = 20
"""What a request under way gets of its own; the serving side has waited for it before."""

STOP_SECONDS: Final = SHUTDOWN_SECONDS + 10.0
"""After that it is killed: a vLLM that still starts swallows SIGTERM and goes on."""

# 24 to 41 on two idle cores, beyond 240 seen on two that five others wanted: killed there, it would
# never have come to serve.
_START_SECONDS: Final = 600.0
_LOAD_BYTES_PER_SECOND: Final = 50_000_000  # weights from a slow disk
_SLEEP_SECONDS: Final = 60.0
_CONTEXT_TOKENS: Final = {"cpu": 2048, "cuda": 16_384}
_SOCKET_FOLDER_BYTES: Final = 107 - len("/vllm/") - 36  # its own sockets are named by UUIDs
_FEATURES: Final = ("json_schema", "logprobs", "seed")
_SLOTS_PER_OWN_SEAT: Final = 8


@dataclass(frozen=True)
class Sizes:
    """What the owner chose of the engine's size; None leaves it to us.

    `gpus` work together on each token.
    """

    slots: int | None = None
    context_tokens: int | None = None
    kv_gib: float | None = None
    gpu_share: float | None = None
    gpus: int = 1


class Vllm:
    """One vLLM with one model; see `EngineKind` for the attributes."""

    name = "vllm"
    extra_fields = frozenset(
        {"cache_salt", "ignore_eos", "min_p", "min_tokens", "priority"}
        | {"repetition_penalty", "top_k"}
        | {"continue_final_message", "add_generation_prompt"}
    )
    counts_all_choices = True

    def __init__(
        self,
        model: ModelEntry | ModelFolder,
        release: Release,
        *,
        runtimes: Environments,
        store: ModelStore,
        engines_folder: Path,
        models_folder: Path,
        socket_path: Path,
        sizes: Sizes,
        adapters: tuple[AdapterSetting, ...] = (),
    ) -> None:
        if len(os.fsencode(socket_path.parent)) > _SOCKET_FOLDER_BYTES:
            raise ConfigError(f"an engine's socket needs a short path: {socket_path}")
        self.version: str | None = release.version
        self.slots = sizes.slots or (8 if release.build == "cpu" else 64)
        # A seat takes no memory of its own: where that ends, priorities tell whose is taken back.
        self.own_seats = max(1, self.slots // _SLOTS_PER_OWN_SEAT)
        self.address = EngineAddress.parse(f"unix://{socket_path}")
        self.can_sleep = release.build == "cuda"  # a CPU's says yes, frees nothing, and then hangs
        self._model = model
        self._release = release
        self._runtimes = runtimes
        self._store = store
        self._engines_folder = engines_folder
        self._models_folder = models_folder
        self._socket_path = socket_path
        self._scratch = _scratch_beside(socket_path)
        self._sizes = sizes
        self._adapters = Adapters(model.id, adapters)
        wanted = sizes.context_tokens or _CONTEXT_TOKENS[release.build]
        self._context_tokens = min(wanted, _longest_context(model))
        self._parsers = (
            Parsers()  # what the catalogue holds is too small to call tools
            if isinstance(model, ModelEntry)
            else parsers_of(model.id, model.architectures)
        )
        self.uses_gpus = sizes.gpus if release.build == "cuda" else 0
        is_entry = isinstance(model, ModelEntry)
        self.weight_bytes = (
            model.unpacked_bytes if isinstance(model, ModelEntry) else model.weight_bytes
        )
        slowly = 0 if is_entry else self.weight_bytes // _LOAD_BYTES_PER_SECOND
        self.limits = Limits(
            startup_seconds=_START_SECONDS + slowly,
            drain_seconds=STOP_SECONDS,
            sleep_seconds=_SLEEP_SECONDS,
        )

    @property
    def runs_own_code(self) -> bool:
        """Whether the owner has allowed this model, at its commit, to bring code of its own."""
        return isinstance(self._model, ModelFolder) and self._model.runs_own_code

    async def prepare(self, report: Callable[[Progress], None]) -> LaunchSpec:
        """Environment and model, fetched and converted if they are not here.

        Raises:
            ConfigError: something that was pinned does not fit, or the model must not be served.
            InstallError: something could not be fetched.
        """
        spec = self._release.runtime()
        if self._release.provenance and not self._runtimes.folder_of(spec).exists():
            raise ConfigError(
                f"vllm {self.version} is not installed, and on this machine it is not the vLLM "
                "project's own build; to read whose, and to install it: byoi engines install vllm"
            )
        python, folder = await self.fetch(report)
        launch = await asyncio.to_thread(self._launch, python, folder)
        await asyncio.to_thread(self._clear_sockets)
        return LaunchSpec(
            argv_of(launch),
            {**environment_of(launch), "PATH": _path_with(python)},
            stop_seconds=STOP_SECONDS,
            leaves=(self._socket_path, self._scratch),
        )

    async def fetch(self, report: Callable[[Progress], None]) -> tuple[Path, Path]:
        """The environment's interpreter and the model's folder, fetched if they are not here.

        Raises:
            ConfigError: something that was pinned does not fit.
            InstallError: something could not be fetched.
        """
        python = await self._runtimes.ensure(self._release.runtime(), report)
        return python, await self._model_folder(python, report)

    def _clear_sockets(self) -> None:
        """It does not take a path that exists, and a killed one leaves its own behind."""
        self._socket_path.unlink(missing_ok=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)

    async def _model_folder(self, python: Path, report: Callable[[Progress], None]) -> Path:
        if not isinstance(self._model, ModelEntry):
            # Again at each start: files may have come since the owner chose the folder.
            await asyncio.to_thread(again, self._model)
            return self._model.path
        file = await self._store.ensure(self._model, report)
        return await ensure_safetensors(self._model, file, self._models_folder, python, report)

    def _launch(self, python: Path, folder: Path) -> Launch:
        if (config := config_in(folder)) is None:
            raise ConfigError(f"{folder} has no config.json, so that it is no model")
        kv_gib = self._sizes.kv_gib
        if kv_gib is None and self._release.build == "cpu":
            kv_gib = default_kv_gib(config, self._context_tokens, self.slots)
        sampling = self._model.sampling if isinstance(self._model, ModelEntry) else {}
        self._adapters.prepare(config)
        return Launch(
            build=self._release.build,
            python=str(python),
            model_folder=str(folder),
            served_name=self._model.id,
            socket_path=str(self._socket_path),
            scratch_folder=str(self._scratch),
            cache_folder=str(self._engines_folder / "vllm-cache"),
            context_tokens=self._context_tokens,
            slots=self.slots,
            own_seats=self.own_seats,
            shutdown_seconds=SHUTDOWN_SECONDS,
            kv_gib=kv_gib,
            gpu_share=self._sizes.gpu_share,
            gpus=self._sizes.gpus,
            sampling=sampling,
            parsers=self._parsers,
            adapters=self._adapters.at_once,
            adapter_rank=self._adapters.rank,
            runs_own_code=self.runs_own_code,
        )

    async def discover(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """Health, the list of models, one token; then its adapters are loaded.

        Raises:
            EngineError: not yet.
        """
        await self._must_be_well(client)
        await probes.must_list(client, self._model.id)
        await self.canary(client)
        await self._adapters.begin(client)
        return await self._served(client)

    async def look(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """GET /health, which has no body; what it serves changes with its adapters alone.

        Raises:
            EngineError: no answer, or another than 200.
        """
        await self._must_be_well(client)
        return await self._served(client)

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each adapter that it could not load."""
        return self._adapters.faults

    def adapt(self, adapters: tuple[AdapterSetting, ...]) -> bool:
        """See `EngineKind`; what was started without room for adapters has to be started anew."""
        if adapters and not self._adapters.has_room:
            return adapters == self._adapters.wanted
        self._adapters.want(adapters)
        return True

    async def _must_be_well(self, client: EngineClient) -> None:
        answer = await client.fetch("GET", "/health", timeout_seconds=probes.MODELS_SECONDS)
        if answer.status != 200:  # noqa: PLR2004 HTTP's OK
            raise EngineError(f"/health answered {answer.status}")

    @property
    def offers(self) -> tuple[ServedModel, ...]:
        """The model, and each adapter that its owner named."""
        return (self._base, *(self._over(one.name, 0) for one in self._adapters.wanted))

    async def _served(self, client: EngineClient) -> tuple[ServedModel, ...]:
        await self._adapters.settle(client)
        return (
            self._base,
            *(self._over(one.name, one.created_at) for one in self._adapters.loaded),
        )

    @property
    def _base(self) -> ServedModel:
        return ServedModel(
            id=self._model.id,
            engine_id=self._model.id,
            routes=(probes.CHAT, probes.COMPLETIONS, probes.RESPONSES),
            context_tokens=self._context_tokens,
            created_at=self._model.created_at,
            features=(*_FEATURES, *(("tools",) if self._parsers.tools else ())),
        )

    def _over(self, adapter: str, created_at: int) -> ServedModel:
        base, name = self._base, ModelId(adapter)
        return replace(base, id=name, engine_id=adapter, created_at=created_at, base=base.id)

    async def canary(self, client: EngineClient) -> None:
        """One token.

        Raises:
            EngineError: it did not come.
        """
        await probes.one_token(client, self._model.id)

    async def load(self, client: EngineClient) -> EngineLoad | None:
        """By its /metrics."""
        return await ask_load(client)

    async def sleep(self, client: EngineClient) -> None:
        """Weights to the host's memory, context dropped: waking takes seconds, not minutes.

        Raises:
            EngineError: it did not.
        """
        await _order(client, "/sleep?level=1")

    async def wake(self, client: EngineClient) -> None:
        """Everything back on the GPU.

        Raises:
            EngineError: it did not; the GPU's memory may be taken by others now.
        """
        await _order(client, "/wake_up")

    async def count(
        self, client: EngineClient, path: str, request: Mapping[str, Any], text: str
    ) -> Usage | None:
        """By its own tokenizer; None when it is gone."""
        return await count_with_vllm(client, path, request, text)

    def translate_error(
        self, status: int, body: bytes, path: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """See `kinds.errors`."""
        return translate(status, body, path)

    def explain(self, ended: Ended) -> str:
        """Known failures by a line of the log, others by their code and the last error there."""
        return reason_in(ended.log) or ended.in_words(last_error(ended.log))


def _longest_context(model: ModelEntry | ModelFolder) -> int:
    """What vLLM takes at most: more than the config says of some models."""
    if isinstance(model, ModelEntry):
        return model.context_tokens
    return int(model.context_tokens * stretch(*text_model(model.config)))


def _scratch_beside(socket_path: Path) -> Path:
    """Its own sockets' folder; of several engines each has one of its own."""
    return socket_path.with_name("vllm" if socket_path.stem == "engine" else socket_path.stem)


def _path_with(python: Path) -> str:
    """It calls programs of its environment by name, ninja for one, to build a GPU's kernels."""
    return os.pathsep.join((str(python.parent), os.environ.get("PATH") or os.defpath))


async def _order(client: EngineClient, path: str) -> None:
    answer = await client.fetch("POST", path, timeout_seconds=_SLEEP_SECONDS)
    if answer.status != 200:  # noqa: PLR2004 HTTP's OK
        raise EngineError(f"{path.partition('?')[0]} answered {answer.status}")

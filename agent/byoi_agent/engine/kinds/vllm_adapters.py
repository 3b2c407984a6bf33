"""The LoRA adapters of one vLLM: loaded and taken out while it serves."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.config.paths import expanded
from byoi_agent.engine.kinds import probes
from byoi_agent.errors import AgentError, ConfigError, EngineError
from byoi_agent.models.adapters import RANKS, AdapterFolder, look_through_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.client import EngineClient
    from byoi_wire.ids import ModelId

logger = logging.getLogger(__name__)

_LOAD_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 10.0
_LEAST_RANK: Final = 16
_AT_ONCE: Final = 8
_OK: Final = 200


class Adapters:
    """Sole owner of which adapters one vLLM shall have, and of why it has not all of them.

    vLLM is started with room for adapters where any were wanted then (`rank` is not 0); only with
    that room can others be taken later. It forgets all of them when it ends, so `begin` is called
    for each run. One that does not load is a fault to be told, and tried again when the owner
    names adapters anew; the engine serves without it.
    """

    def __init__(self, base: ModelId, wanted: tuple[AdapterSetting, ...]) -> None:
        self._base = base
        self._wanted = wanted
        self._config: Mapping[str, Any] = {}
        self._loaded: dict[str, AdapterFolder] = {}
        self._faults: dict[str, str] = {}
        self._is_settled = False
        self.rank = 0
        self.at_once = 0

    @property
    def wanted(self) -> tuple[AdapterSetting, ...]:
        """What the owner named."""
        return self._wanted

    @property
    def loaded(self) -> tuple[AdapterFolder, ...]:
        """What it has, in the owner's order."""
        names = dict.fromkeys(one.name for one in self._wanted)
        return tuple(self._loaded[name] for name in names if name in self._loaded)

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each that it has not."""
        return tuple(self._faults.values())

    @property
    def has_room(self) -> bool:
        """Whether this vLLM was started so that it takes adapters."""
        return self.rank > 0

    def prepare(self, config: Mapping[str, Any]) -> None:
        """Look through all that is wanted and measure the room; `config` is the base's."""
        self._config = config
        if not self._wanted:
            self.rank = self.at_once = 0
            return
        largest = max((one.rank for one in self._readable()), default=0)
        self.rank = next(rank for rank in RANKS if rank >= max(largest, _LEAST_RANK))
        self.at_once = min(len(self._wanted), _AT_ONCE)

    def want(self, wanted: tuple[AdapterSetting, ...]) -> None:
        """Others shall be there from the next `settle` on."""
        self._wanted = wanted
        self._is_settled = False

    async def begin(self, client: EngineClient) -> None:
        """A new run, which has none yet, or one that has slept and still has what it had.

        Raises:
            EngineError: it does not say what it has.
        """
        if not self.has_room:
            return
        listed = await probes.listed_models(client)
        there = {entry["id"] for entry in listed if entry.get("parent") is not None}
        for stray in there - self._loaded.keys():  # its loading took longer than we waited
            await self._take_out(client, stray)
        for name in self._loaded.keys() - there:
            del self._loaded[name]
        self._is_settled = False

    async def settle(self, client: EngineClient) -> None:
        """Load what is missing and take out what is not wanted any more; cheap when nothing is.

        Requests under way at an adapter that is taken out go on to their end.
        """
        if self._is_settled:
            return
        self._is_settled = True
        wanted, self._faults = self._wanted, {}
        paths = {one.name: _place_of(one) for one in wanted}
        for name, folder in tuple(self._loaded.items()):
            if paths.get(name) != folder.path:
                await self._take_out(client, name)
        for setting in wanted:
            if self.has_room and setting.name not in self._loaded:
                await self._load(client, setting)

    def _readable(self) -> list[AdapterFolder]:
        found = []
        for setting in self._wanted:
            try:
                found.append(look_through_adapter(setting, self._config))
            except ConfigError:
                continue  # `settle` says so once the engine serves
        return found

    async def _load(self, client: EngineClient, setting: AdapterSetting) -> None:
        try:
            folder = await asyncio.to_thread(look_through_adapter, setting, self._config)
            self._check(folder)
            body = {"lora_name": folder.name, "lora_path": str(folder.path)}
            await _order(client, "/v1/load_lora_adapter", body, _LOAD_SECONDS)
        except AgentError as error:
            logger.warning("adapter not loaded", extra={"adapter": setting.name})
            self._faults[setting.name] = f"the adapter {setting.name} is not served: {error}"
            return
        self._loaded[setting.name] = folder
        logger.info("adapter loaded", extra={"adapter": setting.name})

    def _check(self, folder: AdapterFolder) -> None:
        if folder.name == self._base or folder.name in self._loaded:
            raise ConfigError("another model has that name")
        if folder.rank > self.rank:
            raise ConfigError(
                f"its rank is {folder.rank} and the engine was started for {self.rank}; "
                "restart the node when it suits"
            )

    async def _take_out(self, client: EngineClient, name: str) -> None:
        self._loaded.pop(name, None)
        try:
            await _order(client, "/v1/unload_lora_adapter", {"lora_name": name}, _ASK_SECONDS)
        except EngineError as error:  # nobody is sent there any more; its memory is the engine's
            logger.warning("adapter not taken out", extra={"adapter": name, "cause": str(error)})
        else:
            logger.info("adapter taken out", extra={"adapter": name})


def _place_of(setting: AdapterSetting) -> Path | None:
    """None for a place that cannot be: `_load` says why."""
    with suppress(ConfigError):
        return expanded(setting.path)
    return None


async def _order(
    client: EngineClient, path: str, body: Mapping[str, str], timeout_seconds: float
) -> None:
    """These routes answer with a sentence rather than JSON where all is well.

    Raises:
        EngineError: it did not; not in its own words, which hold places of this machine.
    """
    data = json.dumps(body).encode()
    answer = await client.fetch("POST", path, data, timeout_seconds=timeout_seconds)
    if answer.status != _OK:
        raise EngineError(f"{path} answered {answer.status}; byoi logs has the engine's reason")

"""The engines that byoi can start: those on the disk, those that can be had, and why others not."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.kinds import llamacpp
from byoi_agent.engine.kinds.vllm_releases import RELEASES, build_here, obstacle, release
from byoi_agent.engine.runtimes import Installed, Runtimes
from byoi_agent.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.engine.kinds.vllm_releases import Release
    from byoi_agent.engine.runtimes import RuntimeSpec
    from byoi_agent.models.wheels import Progress

_VERSIONS: Final = {
    "llamacpp": (llamacpp.RUNTIME.version,),
    "vllm": tuple(dict.fromkeys(one.version for one in RELEASES)),
}


@dataclass(frozen=True)
class Offer:
    """One engine in one version and build.

    `installed_bytes` is None where it is not here, `obstacle` None where it can run here.
    """

    name: str
    version: str
    build: str
    setting: str
    download_bytes: int | None = None
    installed_bytes: int | None = None
    is_chosen: bool = False
    obstacle: str | None = None
    provenance: str | None = None

    @property
    def title(self) -> str:
        """For sentences."""
        return f"{self.name} {self.version}"

    @property
    def needs_install(self) -> bool:
        """Whether it is large enough, or strange enough, to be asked for by its owner first."""
        return self.name == "vllm"


class UnknownEngine(ConfigError):
    """No engine has that name or version; the message names those that there are."""


def unknown(setting: str) -> str | None:
    """Why a setting means no engine of this byoi, whatever the machine; None where it means one.

    The address of a server that runs already is nobody's version, and an empty text no choice.
    """
    if not setting or ":/" in setting:
        return None
    try:
        _named(setting)
    except UnknownEngine as error:
        return str(error)
    return None


class Inventory:
    """What `byoi engines` works on. `in_settings` is the engine that the owner chose."""

    def __init__(self, folder: Path, *, in_settings: str) -> None:
        self._runtimes = Runtimes(folder)
        self._in_settings = in_settings

    async def rows(self) -> list[Offer]:
        """All that this byoi knows, and what else of ours is on the disk."""
        rows = [_of_llamacpp(), *(_of_vllm(one) for one in RELEASES)]
        here = self._runtimes.installed()
        told = [await self._with_disk(row, here) for row in rows]
        known = {self._spec(row).name + self._spec(row).version for row in rows}
        for one in here:
            if one.name + one.version not in known:
                size = await self._runtimes.size_of(one)
                old = Offer(one.name, one.version, "", "", installed_bytes=size)
                told.append(replace(old, obstacle="this byoi does not know it"))
        return told

    def offer(self, setting: str) -> Offer:
        """What a name means on this machine.

        Raises:
            UnknownEngine: there is none by that name or version.
            ConfigError: it cannot run here.
            EngineError: the GPU's driver does not answer.
        """
        name, version = _named(setting)
        if name == "llamacpp":
            return _of_llamacpp()
        found = _of_vllm(release(version or None, build_here()))
        if found.obstacle is not None:
            raise ConfigError(f"{found.title} cannot run on this machine: {found.obstacle}")
        return replace(found, setting=setting)

    def is_chosen(self, offer: Offer) -> bool:
        """Whether it is what the owner's settings mean on this machine."""
        name, _, version = self._in_settings.partition("@")
        return name == offer.name and version in {"", offer.version} and offer.obstacle is None

    def is_installed(self, offer: Offer) -> bool:
        """Whether it is here, as this byoi pins it."""
        return self._runtimes.folder_of(self._spec(offer)).exists()

    async def install(self, offer: Offer, report: Callable[[Progress], None]) -> None:
        """Have it here.

        Raises:
            ConfigError: what the index serves is not what was pinned.
            InstallError: it could not be installed; later it may.
        """
        await self._runtimes.ensure(self._spec(offer), report)

    async def remove(self, setting: str) -> list[Installed]:
        """Take it from the disk, in every build; the version alone if one was named.

        What installs and removals left that were killed goes as well; nothing else is an empty
        answer.

        Raises:
            UnknownEngine: there is none by that name, here or elsewhere.
            ConfigError: it is not here.
            RuntimeInUse: a node runs it.
        """
        name, _, version = setting.partition("@")
        doomed = [
            one
            for one in self._runtimes.installed()
            if name in {one.name, one.name.partition("-")[0]} and version in {"", one.version}
        ]
        if not doomed and name not in _VERSIONS:
            raise _no_engine(setting)
        freed_bytes = await self._runtimes.clear()
        if not doomed and not freed_bytes:
            raise ConfigError(f"{setting} is not installed; see: byoi engines list")
        for one in doomed:
            await self._runtimes.remove(one)
        return doomed

    async def _with_disk(self, row: Offer, here: list[Installed]) -> Offer:
        spec = self._spec(row)
        sizes = [
            await self._runtimes.size_of(one)
            for one in here
            if (one.name, one.version) == (spec.name, spec.version)
        ]
        return replace(
            row,
            installed_bytes=sum(sizes) if sizes else None,
            is_chosen=self.is_chosen(row),
        )

    def _spec(self, offer: Offer) -> RuntimeSpec:
        if offer.name == "llamacpp":
            return llamacpp.RUNTIME
        for one in RELEASES:
            if (one.version, one.build) == (offer.version, offer.build):
                return one.runtime()
        raise ConfigError(f"this byoi has no {offer.title}")


def _named(setting: str) -> tuple[str, str]:
    """An engine's name and version, the latter empty where none was named."""
    name, at, version = setting.partition("@")
    versions = _VERSIONS.get(name)
    if versions is None:
        raise _no_engine(setting)
    if at and version not in versions:
        told = version or "without a version"
        raise UnknownEngine(f"this byoi has no {name} {told}; it has {', '.join(versions)}")
    return name, version


def _no_engine(setting: str) -> UnknownEngine:
    return UnknownEngine(f"there is no engine {setting!r}; there are {' and '.join(_VERSIONS)}")


def _of_llamacpp() -> Offer:
    spec = llamacpp.RUNTIME
    return Offer("llamacpp", spec.version, platform.machine(), "llamacpp")


def _of_vllm(one: Release) -> Offer:
    try:
        why = obstacle(one)
    except EngineError as error:
        why = str(error)
    if why is None and one.build != build_here():
        why = "the build for its GPU is taken here"
    return Offer(
        name="vllm",
        version=one.version,
        build=one.build,
        setting="vllm",
        download_bytes=one.download_bytes,
        obstacle=why,
        provenance=one.provenance,
    )

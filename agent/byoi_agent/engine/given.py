"""An engine's environment that somebody else made, such as that of vLLM's own container image."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.engine.runtimes import RuntimeSpec
    from byoi_agent.models.wheels import Progress

_ASK_SECONDS: Final = 60.0
_ASK: Final = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


class Environments(Protocol):
    """Where an engine's interpreter comes from: `Runtimes`, or one that is given."""

    def folder_of(self, spec: RuntimeSpec) -> Path:
        """Where it lies, or would."""

    async def ensure(self, spec: RuntimeSpec, report: Callable[[Progress], None]) -> Path:
        """Its interpreter.

        Raises:
            ConfigError: trying again changes nothing.
            InstallError: it could not be installed; later it may.
        """


class GivenEnvironment:
    """One interpreter that has the engine's `distribution`; nothing is ever written there."""

    def __init__(self, python: Path, distribution: str, setting: str) -> None:
        self._python = python
        self._distribution = distribution
        self._setting = setting

    def folder_of(self, spec: RuntimeSpec) -> Path:  # noqa: ARG002 there is but one
        """The environment's."""
        return self._python.parent.parent

    async def ensure(self, spec: RuntimeSpec, report: Callable[[Progress], None]) -> Path:  # noqa: ARG002 nothing to tell
        """The interpreter, once it has said that it holds the version that is meant.

        Another version may know other flags, and answer otherwise: it is refused.

        Raises:
            ConfigError: it is not there, has no such engine, or another version of it.
        """
        has = await self._version()
        if has.partition("+")[0] != spec.version:  # what follows "+" tells builds apart
            raise ConfigError(
                f"{self._setting}: {self._python} has {self._distribution} {has}, and this byoi "
                f"serves with {spec.version}; take the image or environment of that version, or "
                f"leave {self._setting} out"
            )
        return self._python

    async def _version(self) -> str:
        try:
            asked = await asyncio.create_subprocess_exec(
                *(self._python, "-I", "-c", _ASK, self._distribution),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH") or os.defpath},
            )
        except OSError as error:
            raise ConfigError(
                f"{self._setting}: {self._python} cannot be run: {error.strerror}"
            ) from error
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                told, _ = await asked.communicate()
        except TimeoutError as error:
            raise ConfigError(
                f"{self._setting}: {self._python} does not answer; name a Python interpreter"
            ) from error
        finally:
            if asked.returncode is None:
                asked.kill()
                await asked.wait()
        if asked.returncode != 0 or not told.strip():
            raise ConfigError(f"{self._setting}: {self._python} has no {self._distribution}")
        return told.decode(errors="replace").strip()

"""Updates that the owner asks for on the node's pages: what this installation can, and doing it."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import read_installation
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.update.place import usable_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from byoi_agent.config.installation import Installation

UNIT: Final = "byoi-update-asked"
LOOK_SECONDS: Final = 90.0
_OF_THE_SYSTEM: Final = (
    "this byoi was installed for the whole system, which this node's account must not replace; "
    "in a terminal, type: sudo byoi update",
    "a service of Windows is replaced by an administrator; in a terminal of theirs, type: "
    "byoi update",
)
_START_SECONDS: Final = 20.0
_TOLD_BYTES: Final = 400
_SERVICES_OWN: Final = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "INVOCATION_ID", "JOURNAL_STREAM")
"""Variables that systemd means for the node's own process."""
_PASSED_ON: Final = re.compile(
    r"BYOI_\w+|XDG_[A-Z]+_HOME|[A-Za-z]+_(PROXY|proxy)|SSL_CERT_(FILE|DIR)", re.ASCII
)
"""Variables by which the node found its folders, its settings and its way out."""


class UpdateRefused(AgentError):
    """It cannot be done from here; the message says what to type instead."""


@dataclass(frozen=True)
class Ways:
    """What the owner can have done from here; `instead` is what to type where that is not all."""

    can_look: bool = False
    can_install: bool = False
    instead: str | None = None


@dataclass(frozen=True)
class UpdatesByOwner:
    """Runs `byoi update` as its owner would type it; `program` is that of an installation.

    This node's account can do only what it could do by hand: a service of the system is root's to
    replace. What is installed the signed index says, here as there.
    """

    program: Callable[[Installation], Path]
    environment: Mapping[str, str]
    installation: Callable[[], Installation] = read_installation
    platform: str = sys.platform

    def ways(self) -> Ways:
        """What can be done from here."""
        try:
            installation = self.installation()
            if installation.service is not None or installation.kind == "windows":
                return Ways(instead=_OF_THE_SYSTEM[installation.kind == "windows"])
            usable_folder(installation)
        except ConfigError as error:
            return Ways(instead=str(error))
        program = self.program(installation)
        if self._runner() is None:
            # Whoever replaces the node must outlive it, and something must start it anew.
            return Ways(can_look=True, instead=f"to install one from here, type: {program} update")
        return Ways(can_look=True, can_install=True)

    async def look(self) -> None:
        """Have the index asked; what was found is told where it always is.

        Raises:
            UpdateRefused: it cannot be asked from here, or not now.
        """
        ways = self.ways()
        if not ways.can_look:
            raise UpdateRefused(str(ways.instead))
        program = str(self.program(self.installation()))
        await self._run([program, "update", "--check"], LOOK_SECONDS)

    async def install(self) -> None:
        """Begin with the newest of the ring; it goes on when this process ends.

        Raises:
            UpdateRefused: it cannot be begun from here, or one is under way.
        """
        ways, runner = self.ways(), self._runner()
        if not ways.can_install or runner is None:
            raise UpdateRefused(str(ways.instead))
        program = str(self.program(self.installation()))
        about = "--description=byoi: an update that its owner asked for"
        told = ["--user", "--quiet", "--collect", f"--unit={UNIT}", about]
        # By name alone, as systemd knows since 250: a proxy's password must not stand where all
        # of the machine may read it.
        names = [f"--setenv={name}" for name in self.environment if _PASSED_ON.fullmatch(name)]
        try:
            await self._run([runner, *told, *names, "--", program, "update"], _START_SECONDS)
        except UpdateRefused as refused:
            raise UpdateRefused(f"{refused}; or, in a terminal: {program} update") from refused

    def _runner(self) -> str | None:
        """What starts a program beside the service that this node is; None where it is none."""
        if self.platform != "linux" or "INVOCATION_ID" not in self.environment:
            return None
        return shutil.which("systemd-run", path=self.environment.get("PATH"))

    async def _run(self, argv: list[str], within_seconds: float) -> None:
        own = {
            name: value
            for name, value in self.environment.items()
            if not name.startswith(_SERVICES_OWN)
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=own,
            )
        except OSError as error:
            raise UpdateRefused(f"{argv[0]} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(within_seconds):
                _, said = await process.communicate()
        except TimeoutError as error:
            raise UpdateRefused(f"{argv[0]} did not end within {within_seconds:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise UpdateRefused(_sentence(said) or f"{argv[0]} ended with {process.returncode}")


def _sentence(said: bytes) -> str:
    """The last thing that a program said."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("byoi: ")[:_TOLD_BYTES] if lines else ""

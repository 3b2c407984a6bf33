"""What every system that starts programs by itself is asked: install, remove, start, stop, tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class ServiceError(AgentError):
    """The system did not do what was asked; the message says what it said, and the mend."""


@dataclass(frozen=True)
class WriteFile:
    """Nothing is done where the file says so already."""

    path: Path
    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link; another one in its place is replaced, a file never is."""

    path: Path
    target: Path


@dataclass(frozen=True)
class Remove:
    """A file, a link, or a folder with all that is in it; what is not there is well."""

    path: Path


@dataclass(frozen=True)
class Run:
    """A program; where it fails, `mend` ends the sentence. One that `may_fail` is tried only."""

    argv: tuple[str, ...]
    mend: str
    may_fail: bool = False


@dataclass(frozen=True)
class Call:
    """What no program does; `words` say what it is, in the imperative."""

    words: str
    do: Callable[[], None]


Step = WriteFile | Link | Remove | Run | Call


class ServiceStatus(BaseModel):
    """`byoi service status`; `launcher` is who starts the node, such as systemd.

    `is_enabled`: it starts by itself. `words` are the node's own, or the launcher's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    launcher: str
    scope: Literal["user", "system"]
    name: str
    is_installed: bool
    is_enabled: bool
    state: Literal["running", "starting", "stopping", "stopped", "failed", "unknown"]
    pid: int | None = None
    restarts: int | None = None
    words: str | None = None
    file: str | None = None


class Launcher(Protocol):
    """One service of one scope. Steps are made without side effects: a dry run shows them.

    `hints` are sentences for after an installation.
    """

    def install(self, *, start: bool) -> Sequence[Step]:
        """Have it start by itself from now on, and at once with `start`."""

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """The way back; with `purge` also state, settings, models and the account."""

    def start(self) -> Sequence[Step]:
        """Start what is installed."""

    def stop(self) -> Sequence[Step]:
        """Stop it until it is started, or the machine is."""

    def restart(self) -> Sequence[Step]:
        """One after the other; requests end first."""

    def status(self) -> ServiceStatus:
        """How it stands, asked of the system."""

    def hints(self) -> Sequence[str]:
        """What a person may want to do next."""

"""Carries an update out: each order of the machine is on the disk before it is begun.

Blocking, in a process of its own: the node goes on meanwhile, and is asked like any other program
would ask it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.errors import AgentError
from byoi_agent.update import machine, told
from byoi_agent.update.machine import (
    Change,
    Commit,
    Committed,
    Discard,
    Drain,
    Drained,
    EndDrain,
    Failed,
    Fetch,
    Fetched,
    Found,
    GoBack,
    Idle,
    Prove,
    Proved,
    Remember,
    Replaced,
    Resumed,
    Stage,
    Staged,
    Switch,
    Switched,
    Tell,
    WentBack,
    step,
)
from byoi_agent.update.policy import is_newer
from byoi_agent.update.programs import UpdateFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.update.installers import Installer
    from byoi_agent.update.journal import Journal
    from byoi_agent.update.machine import Command, Event

logger = logging.getLogger(__name__)

_ORDERS: Final = (Fetch, Stage, Drain, Switch, Prove, Commit, GoBack)


@dataclass(frozen=True)
class Before:
    """How a node was when it was told to stop: whether it ran at all, and whether it served."""

    is_running: bool = False
    is_serving: bool = False


class Node(Protocol):
    """The node of this installation: asked like any other program would ask it."""

    def drain(self, version: str) -> Before:
        """Have it take nothing new, and wait for what runs.

        Raises:
            AgentError: something still runs when the time is over.
        """

    def end_drain(self) -> None:
        """Have it take work again; nothing happens where it does already, or does not run."""

    def stop(self) -> None:
        """Have the service manager stop it. Raises AgentError."""

    def start(self) -> None:
        """Have the service manager start it. Raises AgentError."""

    def prove(self, change: Change) -> None:
        """Wait until it does as that version what it did before. Raises AgentError where not."""

    def step_down(self, code: Path, schema: int) -> None:
        """Have `code` take its state back to an older schema. Raises AgentError."""

    def fit_settings(self, code: Path, schema: int | None) -> None:
        """Have `code` set aside what settings of that number do not know, or with None all count.

        Raises:
            AgentError: it could not; the file is as it was.
        """

    def renew_service(self, away: Path, to: Path) -> None:
        """Have the service's files be those of `to`, where they were those of `away`.

        Raises:
            AgentError: they are as they were, or some of them.
        """


@dataclass(frozen=True)
class Updater:
    """Everything that an update needs; sole writer of the journal while it holds the lock.

    `fetch` brings a version's file; `tell` hears each step in a sentence, and `underway` is called
    whenever the journal has another state.
    """

    journal: Journal
    installer: Installer
    node: Node
    fetch: Callable[[str], Path]
    tell: Callable[[str], None]
    underway: Callable[[], None] = lambda: None

    def resume(self) -> bool:
        """Go on with what was broken off; whether there was anything.

        A version that a person has installed since, neither the old nor the new one, stays.
        """
        state = self.journal.state
        if isinstance(state, Idle):
            return False
        self.tell("An update was broken off; going on with it.")
        self._run(self._replaced(state.change) or Resumed())
        return True

    def become(self, old: str, new: str) -> told.Entry:
        """Go from one version to another; what came of it."""
        self._run(Found(Change(old, new, is_here=self.installer.has(new))))
        return self.journal.history[-1]

    def _run(self, event: Event | None) -> None:
        while event is not None:
            before = self.journal.state
            state, commands = step(before, event)
            # What nobody waits for: done before it is forgotten that it is to be done.
            for command in commands:
                self._clear_up(command)
            self.journal.write(state, commands)
            self.underway()
            self._log(commands)
            if isinstance(event, Replaced) and not isinstance(before, Idle):
                self._leave(before.change, event.by)
            order = next((each for each in commands if isinstance(each, _ORDERS)), None)
            event = None if order is None else self._outcome(order, order.change)

    def _outcome(self, command: Command, change: Change) -> Event:
        try:
            return self._replaced(change) or self._carry_out(command)
        except (AgentError, OSError, ValueError) as error:
            logger.warning("update's step failed", extra={"reason": str(error)})
            return self._replaced(change) or Failed(str(error))

    def _replaced(self, change: Change) -> Replaced | None:
        """Whether a person has put a third version in its place meanwhile: by apt, or a setup."""
        present = self.installer.present()
        return None if present in {None, change.old, change.new} else Replaced(str(present))

    def _leave(self, change: Change, present: str) -> None:
        """To whoever has installed another version, with the node running if it was."""
        self.tell(f"{present} was installed by hand meanwhile: it stays, {change.new} is given up.")
        if change.was_running:
            with suppress(AgentError):  # its service manager tries again by itself
                self.node.start()

    def _carry_out(self, command: Command) -> Event:
        outcome: Event
        match command:
            case Fetch(change):
                self.tell(f"Fetching {change.new} …")
                self.fetch(change.new)
                outcome = Fetched()
            case Stage(change):
                self.tell("Making it ready beside the one that runs …")
                self.installer.stage(change, self.fetch(change.new))
                outcome = Staged()
            case Drain(change):
                self.installer.keep(change)  # before anything is asked of the node: the way back
                self.tell("Waiting for what runs to end …")
                before = self.node.drain(change.new)
                outcome = Drained(before.is_running, before.is_serving)
            case Switch(change):
                self.tell(f"Switching to {change.new} …")
                self._move(change, change.old, change.new)
                outcome = Switched()
            case Prove(change):
                self.tell(f"{change.new} has to prove itself …")
                self.node.prove(change)
                outcome = Proved()
            case Commit(change):
                self._fit_settings(change.new, None)
                self.installer.clear({change.old, change.new})
                outcome = Committed()
            case GoBack(change):
                self.tell(f"Going back to {change.old} …")
                self._move(change, change.new, change.old)
                self.installer.clear({change.old, *self._kept()})
                outcome = WentBack()
            case _:
                raise AssertionError(command)
        return outcome

    def _move(self, change: Change, away: str, to: str) -> None:
        """Stop as one version and start as the other; its state goes along.

        A newer version brings the state up by itself when it starts. To an older one it must be
        brought down before, by the newer one's code, which alone knows how.
        """
        if change.was_running:
            self.node.stop()
        if is_newer(away, to):
            schema = self.journal.schemas.get(to)
            if schema is None:
                raise UpdateFailed(f"which state {to} keeps is not known")
            self.node.step_down(self.installer.environment(away), schema)
            self._fit_settings(away, self.journal.settings.get(to))
        self.installer.point_at(to, away)
        self._renew_service(away, to)
        if change.was_running:
            self.node.start()

    def _fit_settings(self, version: str, schema: int | None) -> None:
        """No reason to stop half-way: what cannot start with them does not prove itself."""
        try:
            self.node.fit_settings(self.installer.environment(version), schema)
        except AgentError as error:
            logger.warning("settings left as they are", extra={"reason": str(error)})
            self.tell(f"The settings stay as they are: {error}")

    def _renew_service(self, away: str, to: str) -> None:
        """As `_fit_settings`: of a package, dpkg has done it."""
        places = self.installer.environment(away), self.installer.environment(to)
        if places[0] == places[1]:
            return
        try:
            self.node.renew_service(*places)
        except (AgentError, OSError, ValueError) as error:
            logger.warning("files of the service left as they are", extra={"reason": str(error)})
            self.tell(f"The service's files stay as they are: {error}")

    def _clear_up(self, command: Command) -> None:
        match command:
            case Discard(change):
                with suppress(OSError, AgentError):
                    self.installer.clear({change.old, *self._kept()})
            case EndDrain(change):
                with suppress(AgentError):  # it ends by itself
                    self.node.end_drain()
                with suppress(OSError, AgentError):
                    self.installer.clear({change.old, change.new, *self._kept()})
            case _:
                return

    def _kept(self) -> set[str]:
        """The version before this one, to which the owner may want to go back."""
        done = [entry for entry in self.journal.history if entry.outcome == machine.DONE]
        return {done[-1].old} if done else set()

    def _log(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Tell(change, outcome, why):
                    extra = {"from": change.old, "to": change.new, "reason": why}
                    logger.info("update %s", outcome, extra=extra)
                case Remember(version, why):
                    logger.warning("version failed here", extra={"to": version, "reason": why})
                case _:
                    continue

"""The node that `byoi update` replaces: asked over its control API, started by its service."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard

import click

from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.errors import AgentError
from byoi_agent.lifecycle.state_schema import number_of
from byoi_agent.service import renewal
from byoi_agent.service.doing import carry_out
from byoi_agent.service.launcher import Run
from byoi_agent.service.units import AT_BOOT
from byoi_agent.update.programs import UpdateFailed, run
from byoi_agent.update.staging import program_of, python_of
from byoi_agent.update.supervisor import Before

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.control.schema import StatusReport
    from byoi_agent.service.launcher import Launcher, Step
    from byoi_agent.service.renewal import Renewal
    from byoi_agent.update.machine import Change

_LOOK_SECONDS: Final = 0.3
_SLACK_SECONDS: Final = 120.0
"""The node waits a little longer than this does: it is stopped before it would serve again."""

_WAITING: Final = (".timer", ".path", ".socket")
"""Units that wait for something: they begin with the version, and not with the machine's start."""

_NOT_THE_OWNERS: Final = frozenset({"looking", "unreadable"})
"""Why a version takes nothing that has yet to find out, or cannot, whether its owner is there."""

_STARTS: Final = 4
"""A version that ended so often within one proof will not come up any more."""


@dataclass(frozen=True)
class UpdatedNode:
    """`account` is the service's where root updates; `drain_seconds` 0 cuts what runs.

    `settings_file` is written with the rights of `settings_account`, None for those of whoever
    updates.
    """

    paths: Paths
    environment: Mapping[str, str]
    launcher: Launcher
    code_of: Callable[[str], Path]
    account: str | None
    drain_seconds: float
    proof_seconds: float
    settings_file: Path | None = None
    settings_account: str | None = None

    def drain(self, version: str) -> Before:
        """Have it take nothing new, and wait for what runs; see `Node`."""
        status = self._status()
        if status is None:
            return Before(is_running=self.launcher.status().state in {"running", "starting"})
        if not self._is_of_the_service(status.pid):
            raise UpdateFailed(
                f"the running node (process {status.pid}) was not started by the service, so that "
                "nobody can start it anew; end it first, then: byoi service start"
            )
        was_serving = status.is_serving
        if self.drain_seconds:
            self._wait_for_what_runs(version)
        return Before(is_running=True, is_serving=was_serving)

    def end_drain(self) -> None:
        """Have it take work again; see `Node`."""
        if (client := self._client()) is not None:
            client.hold_for_update(None)

    def stop(self) -> None:
        """See `Node`."""
        carry_out(self.launcher.stop())

    def start(self) -> None:
        """See `Node`."""
        carry_out(self.launcher.start())

    def prove(self, change: Change) -> None:
        """Wait until it does as that version what it did before; see `Node`."""
        if not change.was_running:
            program = program_of(self.code_of(change.new))
            told = run([str(program), "version"], account=self.account, within_seconds=60.0)
            if change.new not in told.split():
                raise UpdateFailed(f"{program} says that it is {told.strip()}")
            # No node ran that could show more; at least what a node starts with can be loaded.
            run([str(program), "run", "--help"], account=self.account, within_seconds=60.0)
            return
        until = time.monotonic() + self.proof_seconds
        restarts = self.launcher.status().restarts or 0
        while (missing := self._missing(change)) is not None:
            found = self.launcher.status()
            if found.state == "failed" or (found.restarts or 0) - restarts >= _STARTS:
                raise UpdateFailed(f"{change.new} ends again and again ({found.words or missing})")
            if time.monotonic() >= until:
                raise UpdateFailed(f"{missing}, {self.proof_seconds:g} s after its start")
            time.sleep(_LOOK_SECONDS)

    def step_down(self, code: Path, schema: int) -> None:
        """Have that code take its state back; see `Node`.

        A state that is old enough needs no code: a version that never came up changed nothing.
        """
        state = self.paths.state
        with suppress(AgentError):
            if not state.exists() or number_of(state) <= schema:
                return
        module = [str(python_of(code)), "-m", "byoi_agent.lifecycle.step_down"]
        run([*module, str(state), str(schema)], account=self.account)

    def fit_settings(self, code: Path, schema: int | None) -> None:
        """Have that code write the settings as that number, or itself, knows them; see `Node`."""
        if self.settings_file is None:
            return
        words = [str(self.settings_file), *([] if schema is None else [str(schema)])]
        module = [str(python_of(code)), "-m", "byoi_agent.lifecycle.fit_settings"]
        run([*module, *words], account=self.settings_account)

    def renew_service(self, away: Path, to: Path) -> None:
        """Files that the service manager starts the node by; see `Node`."""
        if not self.launcher.status().is_installed:
            return
        module = ["-m", "byoi_agent.service.written"]
        before, after = (
            renewal.read(run([str(python_of(code)), *module], environment=self.environment))
            for code in (away, to)
        )
        wanted = renewal.renewal(before, after, _text_at)
        for kept in wanted.kept:
            click.echo(
                f"byoi: {kept} was changed here and stays; look at what it should be", err=True
            )
        carry_out(self._steps_of(wanted))

    def _steps_of(self, wanted: Renewal) -> Sequence[Step]:
        """With what systemd is told of it; a node that nobody has enabled gets nothing enabled."""
        if not wanted.steps and not wanted.begun:
            return ()
        reloads = [step for step in self.launcher.install(start=False) if _is_reload(step)]
        steps: list[Step] = [*wanted.steps, *reloads]
        for reload in reloads:
            systemctl = reload.argv[:-1]
            if wanted.ended:
                off = (*systemctl, "disable", "--now", *wanted.ended)
                steps.insert(0, Run(off, "", may_fail=True))
            if wanted.begun and self.launcher.status().is_enabled:
                steps.append(Run((*systemctl, "enable", *wanted.begun), "enable them by hand"))
                waiting = [
                    name for name in wanted.begun if name.endswith(_WAITING) and name != AT_BOOT
                ]
                steps += [Run((*systemctl, "start", *waiting), "start them")] if waiting else []
        return steps

    def _wait_for_what_runs(self, version: str) -> None:
        until = time.monotonic() + self.drain_seconds
        client = self._client()
        if client is None:
            return
        client.hold_for_update(version, min(self.drain_seconds + _SLACK_SECONDS, 86_400))
        while (status := self._status()) is not None and (count := _under_way(status)):
            if time.monotonic() >= until:
                raise UpdateFailed(
                    f"{count} requests still ran after {self.drain_seconds / 60:g} minutes; it is "
                    "tried again later, and at once with: byoi update --now"
                )
            time.sleep(_LOOK_SECONDS)

    def _missing(self, change: Change) -> str | None:
        """What the node does not do yet, None where it does all that it did before."""
        status = self._status()
        if status is None:
            return f"{change.new} did not answer"
        if status.agent_version != change.new:
            return f"{status.agent_version} runs and not {change.new}"
        return self._unserved(status) if change.was_serving else None

    def _unserved(self, status: StatusReport) -> str | None:
        """Why nothing is served; one token is asked for where all seems well."""
        version = status.agent_version
        if _is_held(status):
            return None
        if not status.is_serving:
            reason = status.link.reason or status.link.last_error
            return f"{version} did not serve (link {status.link.state}{_why(reason)})"
        client = self._client()
        try:
            proof = None if client is None else client.prove()
        except AgentError as error:
            return f"{version} could not show that it answers: {error}"
        if proof is None:
            return f"{version} went away"
        return None if proof.is_proven or proof.is_held else proof.sentence

    def _status(self) -> StatusReport | None:
        client = self._client()
        try:
            return None if client is None else client.status()
        except NodeUnreachable:
            return None

    def _is_of_the_service(self, pid: int) -> bool:
        started = self.launcher.status().pid
        # Windows may know the service by its launcher, whose child the node is.
        return started == pid or (sys.platform == "win32" and started is not None)

    def _client(self) -> ControlClient | None:
        # Root asks where the service is, and believes no file of its; on Windows there is nothing
        # but the file, which only the service, the system and administrators write.
        if self.account is not None and sys.platform != "win32":
            return ControlClient(socket_path=str(self.paths.control_socket))
        found = find(self.paths, self.environment, is_named=True)
        return found.nodes[0].client if found.nodes else None


def _text_at(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_reload(step: Step) -> TypeGuard[Run]:
    return isinstance(step, Run) and step.argv[-1] == "daemon-reload"


def _under_way(status: StatusReport) -> int:
    own = 0 if status.own is None else status.own.running + status.own.waiting
    return max(status.running + status.waiting, own)


def _is_held(status: StatusReport) -> bool:
    """Whether the owner came back meanwhile: it does all that it may (see `Unanswered`)."""
    now = status.availability
    if now is None or now.state == "serve" or now.code in _NOT_THE_OWNERS:
        return False
    return status.link.state == "online"


def _why(reason: str | None) -> str:
    return f": {reason}" if reason else ""

"""Windows' service manager as a launcher: the machine's node, with an account of its own.

A person has no service of their own there: a node for one user is started at logon, by `byoi run`.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from byoi_agent.config import sddl
from byoi_agent.config.installation import ServicePlaces
from byoi_agent.config.windows_files import GROUP
from byoi_agent.service.launcher import Call, Remove, ServiceError, ServiceStatus
from byoi_agent.service.record import record_service
from byoi_agent.service.windows_structures import ACCOUNT, NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.service.launcher import Step
    from byoi_agent.service.windows_structures import ProcessStatus

logger = logging.getLogger(__name__)

SESSION_HELPER: Final = "byoi session"
UPDATES: Final = "byoi update"
"""The scheduler's name for its task."""

STOP_SECONDS: Final = 180.0

_LOOK_SECONDS: Final = 0.25
_STOPPED: Final = 1
_STATES: Final[dict[int, Literal["running", "starting", "stopping", "stopped"]]] = {
    1: "stopped",
    2: "starting",
    3: "stopping",
    4: "running",
}


class RegistrationCalls(Protocol):
    """What is asked of the system; each raises OSError where it fails."""

    def register(self, command: str) -> None:
        """Have the service manager know the service, as `windows_structures` describes it."""
        ...

    def unregister(self) -> None:
        """Have it forget the service."""
        ...

    def start(self) -> None:
        """Begin to start it."""
        ...

    def stop(self) -> None:
        """Begin to stop it."""
        ...

    def look(self) -> ProcessStatus | None:
        """How it stands; None where it is not registered."""
        ...

    def make_group(self, name: str, comment: str) -> None:
        """A local group, if there is none."""
        ...

    def account(self, name: str) -> str | None:
        """A group's numbers; None where there is none of that name."""
        ...

    def give_rights(self, folder: Path, rights: str) -> None:
        """A folder with these rights, made where it is not there."""
        ...

    def make_event_source(self) -> None:
        """Have the event log know our words."""
        ...

    def remove_event_source(self) -> None:
        """The way back."""
        ...

    def start_at_logon(self, name: str, command: str) -> None:
        """Have each person's session start a program."""
        ...

    def stop_at_logon(self, name: str) -> None:
        """The way back."""
        ...

    def run_every_hour(self, name: str, program: Path, arguments: str) -> None:
        """Have the system itself run a program, whether anybody is signed in or not."""
        ...

    def run_no_more(self, name: str) -> None:
        """The way back."""
        ...


def places(program_data: Path) -> ServicePlaces:
    """The service's folders. In `run` its group may read where the node listens."""
    root = program_data / NAME
    return ServicePlaces(
        account=ACCOUNT,
        state=root / "state",
        cache=root / "cache",
        runtime=root / "run",
        config=root / "config.toml",
    )


@dataclass(frozen=True)
class SystemService:
    """The machine's service; see `Launcher`. `program` is `byoi` without its ending."""

    program: Path
    calls: RegistrationCalls
    program_data: Path = field(
        default_factory=lambda: Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"))
    )
    record: Callable[[ServicePlaces | None], None] = record_service
    sleep: Callable[[float], None] = time.sleep

    def install(self, *, start: bool) -> Sequence[Step]:
        """See `Launcher`."""
        calls, own = self.calls, places(self.program_data)
        comment = "May use the byoi node of this machine."
        steps: list[Step] = [
            Call(f"make the local group {GROUP}", lambda: calls.make_group(GROUP, comment)),
            Call(f"register the service {NAME} for {ACCOUNT}", self._register),
            Call(f"give {own.state.parent} to {ACCOUNT} alone", self._make_folders),
            Call("name byoi to the event log", calls.make_event_source),
            Call(
                "have byoi session start at each logon",
                lambda: calls.start_at_logon(SESSION_HELPER, self._at_logon),
            ),
            Call("have Windows look for updates every hour", self._look_for_updates),
            Call("note the service in the installation", lambda: self.record(own)),
        ]
        return [*steps, *self.start()] if start else steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """See `Launcher`. The group stays: its members are the machine's to know."""
        steps: list[Step] = [
            *self.stop(),
            Call("forget byoi session at logons", lambda: self.calls.stop_at_logon(SESSION_HELPER)),
            Call("look for updates no more", lambda: self.calls.run_no_more(UPDATES)),
            Call("take byoi out of the event log", self.calls.remove_event_source),
            Call(f"remove the service {NAME}", self.calls.unregister),
            Call("note that in the installation", lambda: self.record(None)),
        ]
        return [*steps, Remove(places(self.program_data).state.parent)] if purge else steps

    def start(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Call(f"start the service {NAME}", self.calls.start)]

    def stop(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Call(f"stop the service {NAME}, after its requests", self._stop)]

    def restart(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [*self.stop(), *self.start()]

    def status(self) -> ServiceStatus:
        """See `Launcher`."""
        try:
            told = self.calls.look()
        except OSError as error:
            raise ServiceError(
                f"Windows' service manager does not answer: {error.strerror or error}; look again, "
                "or see services.msc"
            ) from error
        state = "stopped" if told is None else _STATES.get(told.state, "unknown")
        if told is not None and state == "stopped" and told.exit_code:
            state = "failed"
        return ServiceStatus(
            launcher="Windows' service manager",
            scope="system",
            name=NAME,
            is_installed=told is not None,
            is_enabled=told is not None,
            state=state,
            pid=told.pid or None if told is not None else None,
        )

    def hints(self) -> Sequence[str]:
        """See `Launcher`."""
        join = (
            f'net localgroup {GROUP} "%USERNAME%" /add   lets you use the node, and tells it when '
            "you are there; it counts from your next logon"
        )
        hints = [join]
        if not (places(self.program_data).state / "identity.json").exists():
            hints.insert(0, "byoi enroll --console URL && byoi service start   enrols the node")
        return tuple(hints)

    @property
    def _program(self) -> Path:
        return self.program.with_name(self.program.name.removesuffix(".exe") + ".exe")

    @property
    def _at_logon(self) -> str:
        """Without a window, where the setup has laid the program for that beside ours."""
        window = self.program.with_name("byoi-window.exe")
        return f'"{window}" --quiet session' if window.exists() else f'"{self._program}" session'

    def _register(self) -> None:
        self.calls.register(f'"{self._program}" run --as-service')

    def _look_for_updates(self) -> None:
        """No reason to go without a service: its owner can look by hand."""
        try:
            self.calls.run_every_hour(UPDATES, self._program, "update --unattended")
        except OSError as error:
            logger.warning("no task looks for updates", extra={"reason": str(error)})

    def _make_folders(self) -> None:
        own = places(self.program_data)
        account = sddl.service_sid(NAME)
        for folder in (own.state.parent, own.state, own.cache):
            self.calls.give_rights(folder, sddl.private(account))
        group = self.calls.account(GROUP)
        readers = () if group is None else (group,)
        self.calls.give_rights(own.runtime, sddl.private(account, readers=readers))

    def _stop(self) -> None:
        """Until it has: the next step may start it again, or remove it."""
        if self.calls.look() is None:
            return
        self.calls.stop()
        for _ in range(int(STOP_SECONDS / _LOOK_SECONDS)):
            told = self.calls.look()
            if told is None or told.state == _STOPPED:
                return
            self.sleep(_LOOK_SECONDS)
        raise OSError("it still answers requests; look again, or restart the machine")

"""The node as a service of macOS's launchd: one user's agent, or a daemon of its own account."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.config.installation import ServicePlaces
from byoi_agent.service.doing import output_of
from byoi_agent.service.launcher import Call, Link, Remove, Run, ServiceStatus, WriteFile
from byoi_agent.service.plists import (
    NODE,
    SESSION,
    UPDATE,
    agent_plist,
    daemon_plist,
    session_plist,
    update_plist,
)
from byoi_agent.service.record import record_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.service.launcher import Step

PLACES: Final = ServicePlaces(
    account="_byoi",
    state=Path("/var/db/byoi/state"),
    cache=Path("/var/db/byoi/cache"),
    runtime=Path("/var/db/byoi/run"),
    config=Path("/etc/byoi/config.toml"),
)
"""Not below /var/run, which is empty after a start and which only root may write to."""

DAEMON_LOG: Final = Path("/var/log/byoi.log")
_FIRST_ID: Final = 400
_LAST_ID: Final = 499
"""Between Apple's own accounts and those of people."""

_SIGN_IN: Final = (
    "sign in at the Mac itself and try again: an ssh session has no launchd of its own"
)
_WAIT: Final = (
    "try again in two minutes, while requests of the node that ran are ending; "
    "launchctl print tells more"
)
_STATES: Final[dict[str, Literal["running", "starting", "stopping", "stopped"]]] = {
    "running": "running",
    "spawn scheduled": "starting",
    "spawning": "starting",
    "exiting": "stopping",
    "not running": "stopped",
    "waiting": "stopped",
}


@dataclass(frozen=True)
class UserService:
    """A LaunchAgent; `agents` is ~/Library/LaunchAgents, the rest as for systemd.

    `updates` is where updates of this installation are kept, None where it can have none.
    """

    program: Path
    agents: Path
    log: Path
    record: Path
    data_dir: Path | None
    updates: Path | None = None

    def install(self, *, start: bool) -> Sequence[Step]:
        """See `Launcher`."""
        text = agent_plist(self.program, self.record, self.log, self.data_dir)
        steps: list[Step] = [
            WriteFile(self._file, text),
            Run(("mkdir", "-p", str(self.log.parent)), _SIGN_IN),
            Run(("launchctl", "enable", self._target), _SIGN_IN),
        ]
        if self.updates is not None:
            steps += _updates(self._domain, self._update, self.program, self.updates)
        return [*steps, *self.restart()] if start else steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """See `Launcher`; state is the user's own and stays: `byoi unenroll` gives it up."""
        del purge
        return [*self.stop(), Remove(self._file), *_no_updates(self._domain, self._update)]

    def start(self) -> Sequence[Step]:
        """See `Launcher`; once it is loaded, it can only be kicked."""
        return [
            Run(_bootstrap(self._domain, self._file), _SIGN_IN, may_fail=True),
            Run(("launchctl", "kickstart", self._target), _SIGN_IN),
        ]

    def stop(self) -> Sequence[Step]:
        """See `Launcher`; it is back at the next sign-in."""
        return [Run(("launchctl", "bootout", self._target), _SIGN_IN, may_fail=True)]

    def restart(self) -> Sequence[Step]:
        """See `Launcher`; `kickstart -k` would not let requests end."""
        return [*self.stop(), Run(_bootstrap(self._domain, self._file), f"{_SIGN_IN}, or {_WAIT}")]

    def status(self) -> ServiceStatus:
        """See `Launcher`."""
        return _status("user", self._target, self._file)

    def hints(self) -> Sequence[str]:
        """See `Launcher`."""
        if self.record.exists():
            return ()
        return ("byoi enroll --console URL   enrols this Mac; the node starts then",)

    @property
    def _file(self) -> Path:
        return self.agents / f"{NODE}.plist"

    @property
    def _update(self) -> Path:
        return self.agents / f"{UPDATE}.plist"

    @property
    def _domain(self) -> str:
        return f"gui/{_uid()}"

    @property
    def _target(self) -> str:
        return f"{self._domain}/{NODE}"


@dataclass(frozen=True)
class SystemService:
    """A LaunchDaemon with the account `_byoi`. Needs root, but for status."""

    program: Path
    root: Path = Path("/")

    def install(self, *, start: bool) -> Sequence[Step]:
        """See `Launcher`."""
        own = ("install", "-d", "-o", PLACES.account, "-g", PLACES.account)
        steps: list[Step] = [
            *_account_steps(),
            Run(("install", "-d", "-m", "755", str(PLACES.state.parent)), _WAIT),
            Run((*own, "-m", "700", str(PLACES.state), str(PLACES.cache)), _WAIT),
            Run((*own, "-m", "750", str(PLACES.runtime), str(PLACES.config.parent)), _WAIT),
            Run(
                ("sh", "-c", f"[ -e {PLACES.config} ] || install -o {PLACES.account} "
                 f"-g {PLACES.account} -m 640 /dev/null {PLACES.config}"),
                _WAIT,
            ),
            WriteFile(self._file, daemon_plist(self.program, PLACES, DAEMON_LOG)),
            WriteFile(self._session, session_plist(self.program)),
            WriteFile(
                self._rotation,
                f"{DAEMON_LOG} {PLACES.account}:{PLACES.account} 640 3 1024 * J\n",
            ),
            Link(self._command, self.program),
            Call("write the service into the installation", lambda: record_service(PLACES)),
            Run(("launchctl", "enable", f"system/{NODE}"), _WAIT),
            *_updates("system", self._update, self.program, self.program.parent.parent / "update"),
        ]  # fmt: skip
        return [*steps, *self.restart()] if start else steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """See `Launcher`."""
        steps: list[Step] = [
            *self.stop(),
            *_no_updates("system", self._update),
            Remove(self._file),
            Remove(self._session),
            Remove(self._rotation),
            Remove(self._command),
            Call("take the service out of the installation", lambda: record_service(None)),
        ]
        if purge:
            folders = (PLACES.state.parent, PLACES.config.parent, DAEMON_LOG)
            steps += [Remove(self.root / str(folder).lstrip("/")) for folder in folders]
            steps += [
                Run(("dscl", ".", "-delete", f"/{kind}/{PLACES.account}"), _WAIT, may_fail=True)
                for kind in ("Users", "Groups")
            ]
        return steps

    def start(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [
            Run(_bootstrap("system", self._file), _WAIT, may_fail=True),
            Run(("launchctl", "kickstart", f"system/{NODE}"), _WAIT),
        ]

    def stop(self) -> Sequence[Step]:
        """See `Launcher`; it is back when the Mac starts."""
        return [Run(("launchctl", "bootout", f"system/{NODE}"), _WAIT, may_fail=True)]

    def restart(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [*self.stop(), Run(_bootstrap("system", self._file), _WAIT)]

    def status(self) -> ServiceStatus:
        """See `Launcher`."""
        return _status("system", f"system/{NODE}", self._file)

    def hints(self) -> Sequence[str]:
        """See `Launcher`."""
        return (
            "sudo byoi enroll --console URL   enrols this Mac; the node starts then",
            f"sudo dseditgroup -o edit -a $USER -t user {PLACES.account}   lets you ask it "
            "without sudo",
        )

    @property
    def _file(self) -> Path:
        return self.root / "Library/LaunchDaemons" / f"{NODE}.plist"

    @property
    def _update(self) -> Path:
        return self.root / "Library/LaunchDaemons" / f"{UPDATE}.plist"

    @property
    def _session(self) -> Path:
        return self.root / "Library/LaunchAgents" / f"{SESSION}.plist"

    @property
    def _rotation(self) -> Path:
        return self.root / "etc/newsyslog.d/byoi.conf"

    @property
    def _command(self) -> Path:
        return self.root / "usr/local/bin/byoi"


def _bootstrap(domain: str, file: Path) -> tuple[str, ...]:
    return ("launchctl", "bootstrap", domain, str(file))


def _updates(domain: str, file: Path, program: Path, folder: Path) -> list[Step]:
    """The job that looks for newer versions; one that is loaded already is left in peace."""
    return [
        WriteFile(file, update_plist(program, folder)),
        Run(_bootstrap(domain, file), _WAIT, may_fail=True),
    ]


def _no_updates(domain: str, file: Path) -> list[Step]:
    if not file.exists():
        return []
    return [
        Run(("launchctl", "bootout", f"{domain}/{UPDATE}"), _WAIT, may_fail=True),
        Remove(file),
    ]


def _account_steps() -> list[Step]:
    """Role accounts of macOS begin with `_`; dscl is what every version of it has."""
    user, group = f"/Users/{PLACES.account}", f"/Groups/{PLACES.account}"
    number = str(_account_id())
    records = (
        (group, "PrimaryGroupID", number),
        (user, "UniqueID", number),
        (user, "PrimaryGroupID", number),
        (user, "RealName", "byoi node"),
        (user, "NFSHomeDirectory", str(PLACES.state)),
        (user, "UserShell", "/usr/bin/false"),
        (user, "IsHidden", "1"),
    )
    return [Run(("dscl", ".", "-create", *record), _WAIT) for record in records]


def _account_id() -> int:
    """The account's number: its own where it is there, else one that nobody has."""
    if sys.platform == "win32":
        return _FIRST_ID
    import grp  # noqa: PLC0415 not on Windows
    import pwd  # noqa: PLC0415

    users = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    if PLACES.account in users:
        return users[PLACES.account]
    taken = {*users.values(), *(entry.gr_gid for entry in grp.getgrall())}
    return next(number for number in range(_LAST_ID, _FIRST_ID, -1) if number not in taken)


def _status(scope: Literal["user", "system"], target: str, file: Path) -> ServiceStatus:
    said = output_of(("launchctl", "print", target))
    disabled = output_of(("launchctl", "print-disabled", target.rpartition("/")[0]))
    # `"org.byoi.agent" => disabled`; `=> true` before macOS 13.
    is_disabled = re.search(rf'"{re.escape(NODE)}" => (disabled|true)', disabled) is not None
    state = _value(said, "state")
    ended = _value(said, "last exit code")
    has_failed = state in {None, "not running"} and ended not in {None, "0", "(never exited)"}
    pid = _value(said, "pid")
    runs = _value(said, "runs")
    return ServiceStatus(
        launcher="launchd",
        scope=scope,
        name=NODE,
        is_installed=file.exists(),
        is_enabled=file.exists() and not is_disabled,
        state="failed" if has_failed else _STATES.get(state or "not running", "unknown"),
        pid=int(pid) if pid else None,
        restarts=int(runs) - 1 if runs and runs.isdecimal() and runs != "0" else None,
        words=f"ended with {ended}" if has_failed else None,
        file=str(file) if file.exists() else None,
    )


def _value(said: str, name: str) -> str | None:
    found = re.search(rf"(?m)^\t{re.escape(name)} = (.+)$", said)
    return found[1].strip() if found else None


def _uid() -> int:
    if sys.platform == "win32":
        return -1
    return os.getuid()

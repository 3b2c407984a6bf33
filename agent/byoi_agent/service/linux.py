"""The node as a service of systemd: one user's, or the system's with an account of its own."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.config.installation import ServicePlaces
from byoi_agent.service.doing import output_of
from byoi_agent.service.launcher import Call, Link, Remove, Run, ServiceStatus, WriteFile
from byoi_agent.service.record import record_service
from byoi_agent.service.units import (
    AGENT,
    ENABLED,
    ENROLMENT,
    HOURLY,
    PATH,
    SESSION,
    STEPS,
    TIMERS,
    restart_steps,
    session_unit,
    shipped,
    system_units,
    user_path,
    user_unit,
    user_updates,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from byoi_agent.service.launcher import Step

PLACES: Final = ServicePlaces(
    account="byoi",
    state=Path("/var/lib/byoi"),
    cache=Path("/var/cache/byoi"),
    runtime=Path("/run/byoi"),
    config=Path("/etc/byoi/config.toml"),
)
"""As the units name them, and the Debian package makes them."""

OF_CARDS: Final = ("video", "render")
"""The groups that own the devices of cards, by udev's rules."""

_LEFT: Final = (
    "etc/credstore/byoi.join-token",
    "etc/credstore.encrypted/byoi.device-key",
    f"etc/systemd/system/{ENROLMENT}.d",
    "etc/systemd/system/byoi-update.service.d",
)
"""What a person, or `byoi keys seal`, has put beside the units; secrets, and a proxy's password."""

_SHOWN: Final = (
    "LoadState",
    "UnitFileState",
    "ActiveState",
    "MainPID",
    "NRestarts",
    "Result",
    "StatusText",
    "FragmentPath",
)
_STATES: Final[dict[str, Literal["running", "starting", "stopping", "stopped", "failed"]]] = {
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "inactive": "stopped",
    "failed": "failed",
}
_LOOK: Final = "look at: journalctl --unit byoi-agent"
_LOOK_AS_USER: Final = "look at: journalctl --user --unit byoi-agent"
_SIGN_IN: Final = (
    "systemd of this user must run: sign in on the machine or by ssh (su and sudo do not do), or "
    "have root type: loginctl enable-linger"
)


@dataclass(frozen=True)
class SystemService:
    """`byoi-agent.service` of the system; `program` is what it runs. Needs root, but for status."""

    program: Path
    root: Path = Path("/")

    def install(self, *, start: bool) -> Sequence[Step]:
        """Account, folders, units, the word of them in the installation; see `Launcher`."""
        version = version_of(output_of(("systemctl", "--version")))
        units = self.root / "etc/systemd/system"
        steps: list[Step] = [
            WriteFile(self._sysusers, shipped("sysusers.conf") + _memberships()),
            Run(("systemd-sysusers", str(self._sysusers)), _LOOK),
            WriteFile(self._tmpfiles, shipped("tmpfiles.conf")),
            Run(("systemd-tmpfiles", "--create", str(self._tmpfiles)), _LOOK),
            *(
                WriteFile(units / name, text)
                for name, text in system_units(self.program, version).items()
            ),
            WriteFile(self._session, session_unit(self.program)),
            Link(self._command, self.program),
            Call("write the service into the installation", lambda: record_service(PLACES)),
            Run(("systemctl", "daemon-reload"), "is systemd running here?"),
            Run(("systemctl", "enable", AGENT, *ENABLED, ENROLMENT), _LOOK),
            # A node that is started later is kept up to date from then on, not from the next boot.
            Run(("systemctl", "start", HOURLY), _LOOK),
        ]
        if start:
            steps.append(Run(("systemctl", "start", AGENT, PATH), _LOOK))
        return steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """Everything that `install` did; the account and its folders only with `purge`."""
        units = self.root / "etc/systemd/system"
        names = system_units(self.program, version=0)
        steps: list[Step] = [
            Run(
                ("systemctl", "disable", "--now", *ENABLED, ENROLMENT, AGENT), _LOOK, may_fail=True
            ),
            *(Remove(units / name) for name in names),
            Remove(units / f"{AGENT}.d"),
            Remove(self._session),
            Remove(self._command),
            Call("take the service out of the installation", lambda: record_service(None)),
            Run(("systemctl", "daemon-reload"), _LOOK, may_fail=True),
            Run(("systemctl", "reset-failed", AGENT), _LOOK, may_fail=True),
            Remove(self.root / "var/lib/systemd/timers/stamp-byoi-update.timer"),
            Remove(self._tmpfiles),
            Remove(self._sysusers),
        ]
        if purge:
            folders = (PLACES.state, PLACES.cache, PLACES.runtime, PLACES.config.parent)
            steps += [Remove(self.root / str(folder).lstrip("/")) for folder in folders]
            steps += [Remove(self.root / left) for left in _LEFT]
            steps += [
                Run((program, PLACES.account), "remove it by hand", may_fail=True)
                for program in ("userdel", "groupdel")
            ]
        return steps

    def start(self) -> Sequence[Step]:
        """See `Launcher`; an enrolment that comes later starts it as well."""
        return [Run(("systemctl", "start", AGENT, PATH), _LOOK)]

    def stop(self) -> Sequence[Step]:
        """See `Launcher`; nor does an enrolment start it meanwhile."""
        return [Run(("systemctl", "stop", PATH, AGENT), _LOOK)]

    def restart(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Run(("systemctl", "restart", AGENT), _LOOK)]

    def status(self) -> ServiceStatus:
        """See `Launcher`."""
        return _status("system", ("systemctl",))

    def hints(self) -> Sequence[str]:
        """See `Launcher`."""
        return (
            "sudo byoi enroll --console URL   enrols this machine; the node starts then",
            f"sudo usermod -aG {PLACES.account} YOU   lets you ask the node without sudo",
            f"systemctl --user enable --now {SESSION}   tells it when you are at this desktop",
        )

    @property
    def _sysusers(self) -> Path:
        return self.root / "etc/sysusers.d/byoi.conf"

    @property
    def _tmpfiles(self) -> Path:
        return self.root / "etc/tmpfiles.d/byoi.conf"

    @property
    def _session(self) -> Path:
        return self.root / "etc/systemd/user" / SESSION

    @property
    def _command(self) -> Path:
        return self.root / "usr/local/bin/byoi"


@dataclass(frozen=True)
class UserService:
    """`byoi-agent.service` of one user, who needs no root for it.

    `record` is the enrolment without which it does not start; `data_dir` where one was named.
    `updates` is where updates of this installation are kept, None where it can have none.
    """

    program: Path
    units: Path
    record: Path
    data_dir: Path | None
    updates: Path | None = None

    def install(self, *, start: bool) -> Sequence[Step]:
        """See `Launcher`."""
        timers = () if self.updates is None else TIMERS
        slower = restart_steps(version_of(output_of(("systemctl", "--version"))))
        steps: list[Step] = [
            WriteFile(self._unit, user_unit(self.program, self.record, self.data_dir), 0o600),
            WriteFile(self.units / PATH, user_path(self.record), 0o600),
            *(
                WriteFile(self.units / name, text, 0o600)
                for name, text in {**slower, **self._updates}.items()
            ),
            Run((*_as_user(), "daemon-reload"), _SIGN_IN),
            Run((*_as_user(), "enable", AGENT, PATH, *timers), _SIGN_IN),
        ]
        if timers:
            steps.append(Run((*_as_user(), "start", HOURLY), _LOOK_AS_USER))
        if start:
            steps.append(Run((*_as_user(), "restart", PATH, AGENT), _LOOK_AS_USER))
        return steps

    def uninstall(self, *, purge: bool) -> Sequence[Step]:
        """See `Launcher`; state is the user's own and stays: `byoi unenroll` gives it up."""
        del purge
        own = (AGENT, PATH, *TIMERS, "byoi-update.service", STEPS)
        folder = str((self.units / STEPS).parent)  # what its owner has put there stays
        timers = [name for name in TIMERS if (self.units / name).exists()]
        return [
            Run((*_as_user(), "disable", "--now", PATH, AGENT, *timers), _SIGN_IN, may_fail=True),
            *(Remove(self.units / name) for name in own),
            Run(("rmdir", folder), _LOOK_AS_USER, may_fail=True),
            Run((*_as_user(), "daemon-reload"), _SIGN_IN, may_fail=True),
            Run((*_as_user(), "reset-failed", AGENT), _SIGN_IN, may_fail=True),
        ]

    def start(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Run((*_as_user(), "start", AGENT, PATH), _LOOK_AS_USER)]

    def stop(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Run((*_as_user(), "stop", PATH, AGENT), _LOOK_AS_USER)]

    def restart(self) -> Sequence[Step]:
        """See `Launcher`."""
        return [Run((*_as_user(), "restart", AGENT), _LOOK_AS_USER)]

    def status(self) -> ServiceStatus:
        """See `Launcher`."""
        return _status("user", _as_user())

    def hints(self) -> Sequence[str]:
        """See `Launcher`."""
        hints = []
        if not self.record.exists():
            hints.append("byoi enroll --console URL   enrols this machine; the node starts then")
        if not _lingers():
            hints.append(
                "sudo loginctl enable-linger $USER   for a machine that serves while nobody is "
                "signed in"
            )
        return tuple(hints)

    @property
    def _unit(self) -> Path:
        return self.units / AGENT

    @property
    def _updates(self) -> Mapping[str, str]:
        return {} if self.updates is None else user_updates(self.program, self.updates)


def _memberships() -> str:
    """Lines for sysusers.d(5): the account joins the groups that own the devices of cards.

    Only those that are here: it would make the others, and no removal could tell whose they are.
    Where there are none, there are no cards either.
    """
    if sys.platform == "win32":
        return ""
    import grp  # noqa: PLC0415 not on Windows

    groups = {group.gr_name for group in grp.getgrall()}
    return "".join(f"m {PLACES.account} {name}\n" for name in OF_CARDS if name in groups)


def _as_user() -> tuple[str, ...]:
    """`su` does not set where a user's systemd is asked; where it runs, that is known."""
    if sys.platform == "win32":
        return ()
    runtime = Path(f"/run/user/{os.getuid()}")
    if "XDG_RUNTIME_DIR" in os.environ or not runtime.is_dir():
        return ("systemctl", "--user")
    return ("env", f"XDG_RUNTIME_DIR={runtime}", "systemctl", "--user")


def _lingers() -> bool:
    """Whether this user's systemd runs while nobody is signed in (loginctl(1))."""
    if sys.platform == "win32":
        return False
    import pwd  # noqa: PLC0415 not on Windows

    return Path("/var/lib/systemd/linger", pwd.getpwuid(os.getuid()).pw_name).exists()


def _status(scope: Literal["user", "system"], systemctl: Iterable[str]) -> ServiceStatus:
    said = output_of((*systemctl, "show", AGENT, f"--property={','.join(_SHOWN)}"))
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    is_installed = facts.get("LoadState", "not-found") not in {"not-found", ""}
    pid = int(facts.get("MainPID") or 0)
    result = facts.get("Result", "success")
    return ServiceStatus(
        launcher="systemd",
        scope=scope,
        name=AGENT,
        is_installed=is_installed,
        is_enabled=facts.get("UnitFileState", "").startswith("enabled"),
        state=_STATES.get(facts.get("ActiveState", ""), "unknown"),
        pid=pid or None,
        restarts=int(facts["NRestarts"]) if facts.get("NRestarts", "").isdecimal() else None,
        words=facts.get("StatusText") or (None if result == "success" else f"ended by {result}"),
        file=facts.get("FragmentPath") or None,
    )

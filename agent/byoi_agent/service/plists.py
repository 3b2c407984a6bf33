"""Property lists of launchd (launchd.plist(5)): the daemon, one user's node, its helper."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoi_agent.config.installation import ServicePlaces

NODE: Final = "org.byoi.agent"
SESSION: Final = "org.byoi.session"

UPDATE: Final = "org.byoi.update"

LOOK_SECONDS: Final = 3600
"""From the load on, so that not all nodes look at once; `byoi update` asks the index once a day."""

THROTTLE_SECONDS: Final = 10
"""Least time between two starts; launchd knows no steps."""

EXIT_SECONDS: Final = 120
"""Longer than drain_seconds and the engine's end; launchd knows no request for more."""

_UPDATE: Final = (
    'keeper=$0/keeper/bin/python; [ ! -x "$keeper" ] || '
    'exec "$keeper" -m byoi_agent.cli.main update --unattended; exec "$1" update --unattended'
)
"""While a version is being tried, the one before stands by: a broken one could not take itself
back."""

_PRIVATE_UMASK: Final = 0o077
_OPEN_FILES: Final = 65536


def daemon_plist(program: Path, places: ServicePlaces, log: Path) -> str:
    """The machine's node, under an account of its own, whether anybody is signed in or not."""
    facts = _node(program, places.state / "identity.json", log)
    facts |= {
        "UserName": places.account,
        "GroupName": places.account,
        "InitGroups": True,
        "WorkingDirectory": str(places.state),
        "EnvironmentVariables": dict(places.environment),
    }
    return _text(facts)


def agent_plist(program: Path, record: Path, log: Path, data_dir: Path | None) -> str:
    """One user's node, while that user is signed in; the login keychain is open then."""
    facts = _node(program, record, log)
    if data_dir is not None:
        facts["ProgramArguments"] += ["--data-dir", str(data_dir)]
    facts["LimitLoadToSessionType"] = ["Aqua", "Background"]
    return _text(facts)


def session_plist(program: Path) -> str:
    """Tells the daemon whether somebody is at this desktop; one for each who is signed in."""
    return _text(
        {
            "Label": SESSION,
            "ProgramArguments": [str(program), "session"],
            "LimitLoadToSessionType": "Aqua",
            "ProcessType": "Background",
            "KeepAlive": {"SuccessfulExit": False},
            # It ends where there is no desktop or another helper: no hurry to look again.
            "ThrottleInterval": 300,
            "Umask": _PRIVATE_UMASK,
        }
    )


def update_plist(program: Path, updates: Path) -> str:
    """Looks for newer versions, for the machine or for one user; `updates` is where they are kept.

    Not at the load itself, in the midst of an installation: what a power cut broke off goes on
    within the hour.
    """
    return _text(
        {
            "Label": UPDATE,
            "ProgramArguments": ["/bin/sh", "-c", _UPDATE, str(updates), str(program)],
            "StartInterval": LOOK_SECONDS,
            "ProcessType": "Background",
            # What it began is let finish: half a switch is mended only an hour later.
            "ExitTimeOut": 600,
            "Umask": 0o022,
        }
    )


def _node(program: Path, record: Path, log: Path) -> dict[str, Any]:
    return {
        "Label": NODE,
        # `service run` ends with 0 where trying again changes nothing, as launchd has no list of
        # exit codes; so SuccessfulExit is the counterpart of RestartPreventExitStatus=78.
        "ProgramArguments": [str(program), "service", "run"],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        # An enrolment, or another one, starts it.
        "WatchPaths": [str(record)],
        "ThrottleInterval": THROTTLE_SECONDS,
        "ExitTimeOut": EXIT_SECONDS,
        # Background would keep engines on the slow cores of Apple silicon.
        "ProcessType": "Standard",
        "SoftResourceLimits": {"NumberOfFiles": _OPEN_FILES, "Core": 0},
        "HardResourceLimits": {"NumberOfFiles": _OPEN_FILES, "Core": 0},
        "Umask": _PRIVATE_UMASK,
        # What is said before the node's own log is open, as `byoi logs` shows the rest.
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }


def _text(facts: Mapping[str, Any]) -> str:
    return plistlib.dumps(facts, sort_keys=False).decode()

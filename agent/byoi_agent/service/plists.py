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

THROTTLE_SECONDS: Final = 10
"""Least time between two starts; launchd knows no steps."""

EXIT_SECONDS: Final = 120
"""Longer than drain_seconds and the engine's end; launchd knows no request for more."""

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

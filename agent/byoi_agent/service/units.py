"""Units of systemd as texts: those of `systemd/`, with this installation's places in them."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AGENT: Final = "byoi-agent.service"
PATH: Final = "byoi-agent.path"
HOURLY: Final = "byoi-update.timer"
AT_BOOT: Final = "byoi-update-resume.timer"
"""Enabled, and started by nothing but a boot (a sign-in): later its time is over, and it would
begin an update at once, beside the one that brings it."""

TIMERS: Final = (HOURLY, AT_BOOT)
ENABLED: Final = (PATH, *TIMERS)
"""Beside the node itself: what is enabled with it."""

ENROLMENT: Final = "byoi-enroll.service"
SESSION: Final = "byoi-session.service"

_SYSTEM: Final = (AGENT, *ENABLED, ENROLMENT, "byoi-update.service")
STEPS: Final = "byoi-agent.service.d/restart-steps.conf"
_STEPS_SINCE: Final = 254
_PROGRAM: Final = "/usr/bin/byoi"
_USERS_RECORD: Final = "%h/.local/state/byoi/identity.json"
_USERS_UPDATES: Final = "%h/.local/share/byoi/app/update"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@./:=,+%$-]+")


def shipped(name: str) -> str:
    """A file of `systemd/` as it is."""
    folder = resources.files("byoi_agent.service") / "systemd"
    return (folder / name).read_text(encoding="utf-8")


def system_units(program: Path, version: int) -> Mapping[str, str]:
    """What lies in /etc/systemd/system, by its name there; `version` is systemd's."""
    units = {name: shipped(name).replace(_PROGRAM, quoted(program)) for name in _SYSTEM}
    return {**units, **restart_steps(version)}


def restart_steps(version: int) -> Mapping[str, str]:
    """What has a node that ends again and again tried less often, where systemd can do it."""
    return {STEPS: shipped(STEPS)} if version >= _STEPS_SINCE else {}


def user_unit(program: Path, record: Path, data_dir: Path | None) -> str:
    """The unit of one user's node; `record` is the enrolment without which it does not start."""
    run = f"{quoted(program)} run"
    if data_dir is not None:
        run += f" --data-dir {quoted(data_dir)}"
    text = shipped(f"user/{AGENT}").replace(f"{_PROGRAM} run", run)
    # Conditions are no command line: blanks are part of the path, and nothing is quoted there.
    return text.replace(_USERS_RECORD, _escaped(record))


def user_path(record: Path) -> str:
    """The unit that starts one user's node when it is enrolled."""
    return shipped(f"user/{PATH}").replace(_USERS_RECORD, _escaped(record))


def user_updates(program: Path, folder: Path) -> Mapping[str, str]:
    """The units that look for newer versions for one user; `folder` is where updates are kept."""
    service, *timers = ("byoi-update.service", *TIMERS)
    words = shipped(f"user/{service}").replace(_USERS_UPDATES, quoted(folder))
    texts = {service: words.replace(_PROGRAM, quoted(program))}
    return texts | {
        name: shipped(f"user/{name}").replace(_USERS_UPDATES, _escaped(folder)) for name in timers
    }


def session_unit(program: Path) -> str:
    """The unit of the helper in a user's session."""
    return shipped(f"user/{SESSION}").replace(_PROGRAM, quoted(program))


def quoted(path: Path) -> str:
    """A path as a word of a command line in a unit (systemd.syntax(7), systemd.service(5)).

    Raises:
        ConfigError: systemd cannot be told of such a path.
    """
    text = _escaped(path).replace("$", "$$")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def version_of(said: str) -> int:
    """Which systemd it is, by the first line of `systemctl --version`; 0 where that is not it."""
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else 0


def _escaped(path: Path) -> str:
    text = str(path)
    if any(ord(letter) < ord(" ") for letter in text):
        raise ConfigError(f"systemd takes no path with line breaks in it: {text!r}")
    return text.replace("%", "%%")

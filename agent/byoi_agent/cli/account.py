"""Acting as the system's service: what root types about this machine's node is meant for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import Installation, read_installation
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from byoi_agent.config.installation import ServicePlaces

_OF_NO_NODE: Final = frozenset({"completion", "demo", "help", "service", "update", "version"})
"""They need root itself, or have nothing to do with the service."""

_OF_ROOT: Final = frozenset({("keys", "seal"), ("keys", "unseal")})
"""They need root itself as well."""

_OTHER_PLACES: Final = ("BYOI_DATA_DIR", "BYOI_CONFIG", "STATE_DIRECTORY")
"""Who names one of these means a node of his own."""

_OTHER_PLACES_FLAG: Final = "--data-dir"
_TOKEN_FLAG: Final = "--join-token-file"  # noqa: S105 a flag's name
_TOKEN_BYTES: Final = 4096
_AS_SERVICE_FLAG: Final = "--as-service"
"""How Windows' service manager starts the service itself."""


def act_as_service(
    arguments: Sequence[str],
    environment: MutableMapping[str, str],
    installation: Installation | None = None,
) -> Sequence[str]:
    """Go on in the service's places, and with its rights, where that is what is meant.

    So `sudo byoi enroll` enrols the service, and leaves no file behind that it cannot read. Nothing
    changes for other users, for a node of root's own (`--data-dir`), or without such a service. The
    answer is the command line to go on with: what only root can read is read before.

    Raises:
        ConfigError: the service's account is gone, or a file that was named cannot be read.
    """
    if not _is_meant(arguments, environment):
        return arguments
    service = (installation or read_installation()).service
    if service is None:
        return arguments
    if sys.platform == "win32":  # an administrator may use these places, and stays who he is
        if _AS_SERVICE_FLAG in arguments or _is_administrator():
            environment.update(service.environment)
        return arguments
    is_root = os.geteuid() == 0
    if not is_root and os.geteuid() != _ids(service)[0]:
        return arguments
    environment.update(service.environment)
    environment.pop("XDG_RUNTIME_DIR", None)
    if is_root:
        arguments = _without_token_file(arguments, environment)
        _become(service)
    return arguments


def _without_token_file(
    arguments: Sequence[str], environment: MutableMapping[str, str]
) -> Sequence[str]:
    """The token that a file of root's holds, handed on as a variable of this process alone."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != _TOKEN_FLAG:
            kept.append(word)
            continue
        file = value if equals else next(words, "")
        if file in {"", "-"}:  # standard input is open already; an absent name is click's to tell
            kept += [word] if equals else [word, *([file] if file else [])]
        else:
            environment["BYOI_JOIN_TOKEN"] = _read(Path(file))
    return kept


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_TOKEN_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_TOKEN_FLAG}: {file} cannot be read: {error}") from error


def _is_meant(arguments: Sequence[str], environment: MutableMapping[str, str]) -> bool:
    words = tuple(word for word in arguments if not word.startswith("-"))
    if not words or words[0] in _OF_NO_NODE or "_BYOI_COMPLETE" in environment:
        return False
    if words[:2] in _OF_ROOT:
        return False
    if any(environment.get(name) for name in _OTHER_PLACES):
        return False
    return not any(word.split("=")[0] == _OTHER_PLACES_FLAG for word in arguments)


def _is_administrator() -> bool:
    """Elevated: who only belongs to the group is not, until he is asked."""
    if sys.platform != "win32":
        return False
    import ctypes  # noqa: PLC0415 there alone

    return bool(ctypes.WinDLL("shell32").IsUserAnAdmin())


def _become(service: ServicePlaces) -> None:
    """For good: nothing that comes after runs as root."""
    if sys.platform == "win32":
        return
    uid, gid = _ids(service)
    os.initgroups(service.account, gid)
    os.setgid(gid)
    os.setuid(uid)
    os.umask(0o077)


def _ids(service: ServicePlaces) -> tuple[int, int]:
    if sys.platform == "win32":
        return -1, -1
    import pwd  # noqa: PLC0415 not on Windows

    try:
        entry = pwd.getpwnam(service.account)
    except KeyError as error:
        raise ConfigError(
            f"the service's account {service.account} is gone; install byoi again"
        ) from error
    return entry.pw_uid, entry.pw_gid

"""Who is at the other end of a unix socket, as the system tells; and who else may ask."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Final

if sys.platform != "win32":
    import pwd

TOKEN: Final = "token"  # noqa: S105 (an actor's name)
DASHBOARD: Final = "dashboard"
UNKNOWN: Final = "unknown"
_PEER: Final = struct.Struct("=iII")
"""Linux's `struct ucred`: process, user, group (unix(7))."""
_MAC_PEER: Final = struct.Struct("=II")
"""The begin of macOS's `struct xucred`: version, user (sys/ucred.h)."""
_MAC_LEVEL: Final = 0
_MAC_PEER_CREDENTIALS: Final = 1
_MAC_BYTES: Final = 76


def told(connection: socket.socket) -> str:
    """Who is there: `uid 1000 (jo)`."""
    uid = peer_uid(connection)
    return UNKNOWN if uid is None else f"uid {uid}{_in_words(uid)}"


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a unix socket; None where the system does not tell."""
    try:
        if sys.platform == "linux":
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            return int(_PEER.unpack(raw)[1])
        if sys.platform == "darwin":
            raw = connection.getsockopt(_MAC_LEVEL, _MAC_PEER_CREDENTIALS, _MAC_BYTES)
            return int(_MAC_PEER.unpack(raw[: _MAC_PEER.size])[1])
    except (OSError, struct.error):
        pass
    return None


def _in_words(uid: int) -> str:
    if sys.platform != "win32":
        with suppress(KeyError):
            return f" ({pwd.getpwuid(uid).pw_name})"
    return ""

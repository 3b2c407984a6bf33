"""Who asks: what the change log, the audit and the owner's switch name."""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

from aiohttp import web

if sys.platform != "win32":
    import pwd

if TYPE_CHECKING:
    from asyncio import BaseTransport

TOKEN: Final = "token"  # noqa: S105 (an actor's name)
DASHBOARD: Final = "dashboard"
_ACTOR: Final = web.RequestKey("actor", str)
_PEER: Final = struct.Struct("=iII")
"""Linux's `struct ucred`: process, user, group (unix(7))."""
_MAC_PEER: Final = struct.Struct("=II")
"""The begin of macOS's `struct xucred`: version, user (sys/ucred.h)."""
_MAC_LEVEL: Final = 0
_MAC_PEER_CREDENTIALS: Final = 1


def actor_of(request: web.Request) -> str:
    """Who asks: `uid 1000 (jo)` by the socket, `token` or `dashboard` by loopback."""
    return request.get(_ACTOR) or _by_socket(request.transport)


def name_actor(request: web.Request, actor: str) -> None:
    """Keep whom the guard let in."""
    request[_ACTOR] = actor


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a unix socket; None where the system does not tell."""
    try:
        if sys.platform == "linux":
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            return int(_PEER.unpack(raw)[1])
        if sys.platform == "darwin":
            raw = connection.getsockopt(_MAC_LEVEL, _MAC_PEER_CREDENTIALS, 76)
            return int(_MAC_PEER.unpack(raw[: _MAC_PEER.size])[1])
    except (OSError, struct.error):
        pass
    return None


def _by_socket(transport: BaseTransport | None) -> str:
    end = None if transport is None else transport.get_extra_info("socket")
    if end is None or end.family != getattr(socket, "AF_UNIX", None):
        return "unknown"
    # A copy: uvloop's own stand-in for the socket has no options.
    with socket.fromfd(end.fileno(), end.family, end.type) as connection:
        uid = peer_uid(connection)
    return "unknown" if uid is None else f"uid {uid}{_in_words(uid)}"


def _in_words(uid: int) -> str:
    if sys.platform == "win32":
        return ""
    try:
        return f" ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return ""

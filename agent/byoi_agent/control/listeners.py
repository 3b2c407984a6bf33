"""Listening sockets of the control API, with what the system has to say about who may use them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.config.ports import claim
from byoi_agent.errors import ConfigError

if sys.platform != "win32":
    import grp

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

MOST_CONNECTIONS: Final = 256
"""On each socket; more are sent away, so that the files a process may open stay for its work."""

_SOCKET_UMASK: Final = 0o117  # → 0660: whoever is in the socket's group may ask


def bind_loopback(setting: str, port: int, mend: str) -> socket.socket:
    """A port of this machine alone.

    Raises:
        ConfigError: somebody else has it.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim(listener)
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"{setting} {port} cannot be used: {error.strerror}; {mend}") from error
    return listener


def bind_unix(path: Path, group: str | None = None) -> socket.socket:
    """A socket whose mode says who may ask: its owner and its group.

    The group is `group` where the system has one of that name and lets us give it, else our own.

    Raises:
        ConfigError: it cannot be made there.
    """
    if sys.platform == "win32":
        raise ConfigError("asyncio has no unix sockets on Windows")
    # What lies there is a dead process's: this one holds the lock of the state folder.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_SOCKET_UMASK)
    try:
        listener.bind(str(path))
        if group is not None:
            _give(path, group)  # nobody has been listened to yet
    except OSError as error:
        listener.close()
        raise ConfigError(f"the control socket {path} cannot be made: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener


def _give(path: Path, group: str) -> None:
    if sys.platform != "win32":
        with suppress(KeyError, PermissionError):
            os.chown(path, -1, grp.getgrnam(group).gr_gid)


async def listen(server: web.Server, listener: socket.socket) -> asyncio.Server:
    """Have `server` answer there; one connection too many is closed at once."""

    def admit() -> asyncio.Protocol:
        return _Full() if len(server.connections) >= MOST_CONNECTIONS else server()

    loop = asyncio.get_running_loop()
    if listener.family == getattr(socket, "AF_UNIX", None):
        return await loop.create_unix_server(admit, sock=listener)
    return await loop.create_server(admit, sock=listener)


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()

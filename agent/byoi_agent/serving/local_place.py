"""Where the local /v1 listens, and its key: a port of loopback, the same for IPv4 and IPv6."""

from __future__ import annotations

import errno
import socket
import stat
from typing import TYPE_CHECKING, Final

from byoi_agent.config.ports import claim
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

USUAL_PORT: Final = 2964
"""Where programs find it if nobody said otherwise: BYOI on a telephone's keys."""

_BACKLOG: Final = 128
_KEY_LIMIT_BYTES: Final = 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def listen(port: int | None) -> list[socket.socket]:
    """Sockets that listen on that port; None: the usual one, any other where that is taken.

    Raises:
        ConfigError: the port that was asked for cannot be had.
    """
    if port is not None:
        return _on(port)
    try:
        return _on(USUAL_PORT)
    except ConfigError:  # another node's, most likely: the status says where this one is
        return _on(0)


def read_key(file: Path | None) -> str | None:
    """The key that programs must show; None where none is asked for.

    Raises:
        ConfigError: the file does not hold one, or others may read it.
    """
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            mode = file.stat().st_mode
            key = opened.read(_KEY_LIMIT_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key in {file} cannot be read") from error
    if mode & _OTHERS and hasattr(socket, "AF_UNIX"):
        raise ConfigError(f"others may read the key in {file}; to mend it: chmod 600 {file}")
    if not 0 < len(key) <= _KEY_LIMIT_BYTES or any(part.isspace() for part in key):
        raise ConfigError(f"{file} does not hold one line with a key")
    return key


def _on(port: int) -> list[socket.socket]:
    try:
        four = _listening(socket.AF_INET, "127.0.0.1", port)
    except OSError as error:
        raise _unusable(port, error) from error
    try:
        six = _listening(socket.AF_INET6, "::1", four.getsockname()[1])
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return [four]  # a machine without IPv6
        four.close()  # "localhost" would find somebody else there
        raise _unusable(port, error) from error
    return [four, six]


def _listening(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        claim(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)  # now: two that only bind would both get the port
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _unusable(port: int, error: OSError) -> ConfigError:
    return ConfigError(f"local_port {port} cannot be used: {error.strerror}")

"""Ports that nobody else may listen on beside us."""

from __future__ import annotations

import socket
import sys


def claim(listener: socket.socket) -> None:
    """Before it is bound: free is what has no listener, though its last connections still wait.

    The option of that name would let anybody on Windows listen there as well, and take what is
    meant for us; there ports are free at once anyway.
    """
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

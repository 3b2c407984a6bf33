"""Who asks: what the change log, the audit and the owner's switch name."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from aiohttp import web

from byoi_agent.control.peer import UNKNOWN, told

if TYPE_CHECKING:
    from asyncio import BaseTransport

_ACTOR: Final = web.RequestKey("actor", str)


def actor_of(request: web.Request) -> str:
    """Who asks: `uid 1000 (jo)` by the socket, `token` or `dashboard` by loopback."""
    return request.get(_ACTOR) or _by_socket(request.transport)


def name_actor(request: web.Request, actor: str) -> None:
    """Keep whom the guard let in."""
    request[_ACTOR] = actor


def _by_socket(transport: BaseTransport | None) -> str:
    end = None if transport is None else transport.get_extra_info("socket")
    if end is None or end.family != getattr(socket, "AF_UNIX", None):
        return UNKNOWN
    # A copy: uvloop's own stand-in for the socket has no options.
    with socket.fromfd(end.fileno(), end.family, end.type) as connection:
        return told(connection)

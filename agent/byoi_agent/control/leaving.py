"""Whether whoever asked is still there: an answer that goes on and on must end with its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.web import Request

_STILL: Final = web.RequestKey("still let in", object)


def stays_while(request: Request, is_let_in: Callable[[], bool]) -> None:
    """Keep how to learn that a browser's session was ended; a program has none."""
    request[_STILL] = is_let_in


def has_left(request: Request) -> bool:
    """Whether the connection is gone, or its browser was signed out meanwhile."""
    if request.transport is None or request.transport.is_closing():
        return True
    is_let_in = request.get(_STILL)
    return callable(is_let_in) and not is_let_in()

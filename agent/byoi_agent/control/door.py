"""Who comes in by the loopback port: a program with the token, or a browser with a session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from byoi_agent.control.actor import name_actor
from byoi_agent.control.guard import is_from_here, judge, judge_page
from byoi_agent.control.guesses import WINDOW_SECONDS, Guesses
from byoi_agent.control.leaving import stays_while
from byoi_agent.control.peer import DASHBOARD, TOKEN

if TYPE_CHECKING:
    from byoi_agent.control.sessions import Session, Sessions

logger = logging.getLogger(__name__)

CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
_OPEN: Final = "/open"
_CLOSE: Final = "/sign-out"
_PUBLIC: Final = "/static/"
"""Nothing there tells anything of this node."""
_FORM: Final = "application/x-www-form-urlencoded"
_SESSION: Final = web.RequestKey("session", object)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def csrf_of(request: web.Request) -> str:
    """The word that forms and scripts of a page must show; empty for a program."""
    session = request.get(_SESSION)
    return "" if session is None else str(getattr(session, "csrf", ""))


@dataclass
class Door:
    """Lets in by the loopback port; `port` is known when it listens."""

    token: str = field(repr=False)
    sessions: Sessions
    now: Callable[[], float]
    port: int = 0
    _guesses: Guesses = field(default_factory=Guesses, repr=False)

    def add(self, app: web.Application) -> None:
        """The way in for a browser, and its way out."""
        app.router.add_get(_OPEN, self._open)
        app.router.add_post(_CLOSE, self._sign_out)

    def url_to_open(self) -> str:
        """What a browser is sent to: it works once, and soon."""
        return f"http://127.0.0.1:{self.port}{_OPEN}?code={self.sessions.make_code()}"

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only those who may.

        Raises:
            web.HTTPException: 401, 403 or 429: the others.
        """
        if not is_from_here(request.headers, self.port):
            raise web.HTTPForbidden(reason="Only programs on this machine may ask")
        if request.path == _OPEN or request.path.startswith(_PUBLIC):
            return await handler(request)
        if "Authorization" in request.headers:
            self._check_token(request)
            name_actor(request, TOKEN)
        elif session := self.sessions.use(cookie := request.cookies.get(self._cookie, "")):
            await self._check_page(request, session)
            stays_while(request, lambda: self.sessions.has(cookie))
            name_actor(request, DASHBOARD)
            request[_SESSION] = session
        else:
            raise web.HTTPUnauthorized(
                reason="Give the control token as a bearer, or open the pages with: byoi dashboard"
            )
        return await handler(request)

    def _check_token(self, request: web.Request) -> None:
        if judge(request.headers, self.port, self.token) == "allowed":
            return
        self._count_guess()
        raise web.HTTPUnauthorized(reason="Give the control token as a bearer")

    async def _check_page(self, request: web.Request, session: Session) -> None:
        shown = request.headers.get(CSRF_HEADER, "")
        if not shown and request.content_type == _FORM:
            shown = str((await request.post()).get(CSRF_FIELD, ""))
        verdict = judge_page(request.method, request.headers, self.port, session.csrf, shown)
        if verdict != "allowed":
            raise web.HTTPForbidden(reason="Only the node's own pages may ask that; load it anew")

    async def _open(self, request: web.Request) -> web.StreamResponse:
        cookie = self.sessions.redeem(request.query.get("code", ""))
        if cookie is None:
            self._count_guess()
            raise web.HTTPUnauthorized(
                reason="This link has been used or is too old; get another with: byoi dashboard"
            )
        logger.info("dashboard opened")
        # Seen and set without a script; `Strict` also keeps it from links of other sites.
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(self._cookie, cookie, httponly=True, samesite="Strict", path="/")
        return answer

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        self.sessions.end(request.cookies.get(self._cookie, ""))
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.del_cookie(self._cookie, path="/", httponly=True, samesite="Strict")
        return answer

    def _count_guess(self) -> None:
        if not self._guesses.wrong(self.now()):
            return
        if self._guesses.is_first_too_many:
            logger.warning("somebody on this machine guesses the control API's secrets")
        raise web.HTTPTooManyRequests(
            reason="Too many wrong secrets; wait a minute",
            headers={"Retry-After": str(round(WINDOW_SECONDS))},
        )

    @property
    def _cookie(self) -> str:
        # Cookies know no ports: two nodes of one machine must not take each other's away.
        return f"byoi_{self.port}"

"""The door: sign in with email and password, and sign out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.accounts.sign_ins import ABSOLUTE_SECONDS, COOKIE
from byoi_console.errors import Unauthenticated
from byoi_console.pages.guard import door_form_of, form_of, render, signed_in, text_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.accounts.people import Person
    from byoi_console.pages.services import PageServices

# W3C Secure Contexts: what reaches no network counts as secure to browsers.
_SECURE_IN_ANY_CASE: Final = ("http://localhost", "http://127.0.0.1", "http://[::1]")


class SignInPages:
    """The routes; the first two are for strangers."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/sign-in", self.show, methods=["GET"]),
            Route("/sign-in", self.enter, methods=["POST"]),
            Route("/sign-out", self.leave, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form; whoever is signed in already goes on."""
        onward = _onward(request.query_params.get("next"))
        if await self._services.sign_ins.look(request.cookies.get(COOKIE)):
            return RedirectResponse(onward, 303)
        return render(request, "sign_in.html", onward=onward, email="", problem="")

    async def enter(self, request: Request) -> Response:
        """Sign in, under a new token whatever the browser had before."""
        form = await door_form_of(request)
        onward = _onward(text_of(form, "next"))
        email, peer = text_of(form, "email"), peer_of(request)
        if self._would_lose_the_cookie(request):
            problem = f"Sign in at {self._services.url}: over plain http no sign-in is kept."
            told = {"onward": onward, "email": email, "problem": problem}
            return render(request, "sign_in.html", status_code=400, **told)
        answer = RedirectResponse(onward, 303)
        try:
            person = await self._services.people.sign_in(
                email, text_of(form, "password"), peer=peer
            )
            await begin_sign_in(request, answer, self._services, person)
        except Unauthenticated as error:
            return render(
                request,
                "sign_in.html",
                status_code=403,
                onward=onward,
                email=email,
                problem=str(error),
            )
        return answer

    def _would_lose_the_cookie(self, request: Request) -> bool:
        """Whether the browser came by another address than the one that cookies are kept to.

        What stands in `Origin` is the address line, whatever proxies made of it on the way.
        """
        origin = request.headers.get("origin", "")
        is_plain = origin.startswith("http://") and not origin.startswith(_SECURE_IN_ANY_CASE)
        return self._services.is_https and is_plain

    async def leave(self, request: Request) -> Response:
        """Sign out: this browser's token is worth nothing from now on."""
        who = await signed_in(request, self._services)
        await form_of(request, who)
        await self._services.sign_ins.end(who.person_id, who.sign_in.id)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer


async def begin_sign_in(
    request: Request, answer: Response, services: PageServices, person: Person
) -> None:
    """Have `answer` sign the browser in, in place of whoever was before."""
    new = await services.sign_ins.begin(
        person.person_id,
        person.org_id,
        peer=peer_of(request),
        browser=request.headers.get("user-agent", ""),
        instead_of=request.cookies.get(COOKIE),
        password_hash=person.password_hash,
    )
    answer.set_cookie(
        COOKIE,
        new.token,
        max_age=ABSOLUTE_SECONDS,
        path="/",
        secure=services.is_https,
        httponly=True,
        samesite="lax",
    )


def peer_of(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


def _onward(wanted: str | None) -> str:
    """A page of ours to go on to; another site's address leads to the overview."""
    if not wanted or not wanted.startswith("/") or wanted[1:2] in {"/", "\\"}:
        return "/"
    parts = urlsplit(wanted)
    is_plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
    return wanted if is_plain and not parts.scheme and not parts.netloc else "/"

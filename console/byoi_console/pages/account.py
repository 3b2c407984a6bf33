"""A person's own page: their password, their browsers, their organisation's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.accounts.passwords import SHORTEST
from byoi_console.errors import InputInvalid
from byoi_console.pages.forms import name_in
from byoi_console.pages.guard import form_of, render, signed_in, text_of
from byoi_console.pages.paging import page_of
from byoi_console.pages.set_up import new_password_of
from byoi_console.pages.sign_in import peer_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.services import PageServices

_NOTICES: Final = {
    "password": "The password is changed. Your other browsers are signed out.",
    "ended": "That browser is signed out.",
    "renamed": "The organisation has its new name.",
}


class AccountPages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/account", self.show, methods=["GET"]),
            Route("/account/password", self.change_password, methods=["POST"]),
            Route("/account/sign-ins/{sign_in_id}/end", self.end, methods=["POST"]),
            Route("/account/organisation", self.choose, methods=["POST"]),
            Route("/account/organisation/name", self.rename, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page."""
        who = await signed_in(request, self._services)
        notice = _NOTICES.get(request.query_params.get("done", ""), "")
        return await self._page(request, who, notice=notice)

    async def change_password(self, request: Request) -> Response:
        """Another password; every other browser of this person is signed out."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            await self._services.people.change_password(
                who.email,
                text_of(form, "current"),
                new_password_of(form),
                keep=who.sign_in.id,
                peer=peer_of(request),
            )
        except InputInvalid as error:
            return await self._page(request, who, password_problem=str(error))
        return RedirectResponse("/account?done=password", 303)

    async def end(self, request: Request) -> Response:
        """Sign one of their browsers out."""
        who = await signed_in(request, self._services)
        await form_of(request, who)
        await self._services.sign_ins.end(who.person_id, request.path_params["sign_in_id"])
        return RedirectResponse("/account?done=ended", 303)

    async def choose(self, request: Request) -> Response:
        """Look at another of their organisations from now on."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        await self._services.sign_ins.choose(who.sign_in, text_of(form, "organisation"))
        return RedirectResponse("/", 303)

    async def rename(self, request: Request) -> Response:
        """Call the organisation something else."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            name = name_in(form, "name")
            await self._services.organisations.rename(who.org_id, name, who.person_id)
        except InputInvalid as error:
            return await self._page(request, who, name_problem=str(error))
        return RedirectResponse("/account?done=renamed", 303)

    async def _page(
        self,
        request: Request,
        who: SignedIn,
        *,
        notice: str = "",
        password_problem: str = "",
        name_problem: str = "",
    ) -> Response:
        sign_ins = await self._services.sign_ins.list(who.person_id)
        return render(
            request,
            "account.html",
            status_code=400 if password_problem or name_problem else 200,
            sign_ins=page_of(sign_ins, request),
            shortest=SHORTEST,
            notice=notice,
            password_problem=password_problem,
            name_problem=name_problem,
        )

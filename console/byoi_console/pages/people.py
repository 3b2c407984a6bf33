"""Who administers the organisation: invited by a link, and taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.errors import InputInvalid, NotFound
from byoi_console.pages.guard import form_of, render, signed_in, text_of
from byoi_console.pages.paging import page_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.accounts.colleagues import Colleague
    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.services import PageServices

_NOTICES: Final = {"removed": "That person is signed out everywhere and cannot come back."}


class PeoplePages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/people", self.show, methods=["GET"]),
            Route("/people", self.invite, methods=["POST"]),
            Route("/people/{person_id}/remove", self.confirm, methods=["GET"]),
            Route("/people/{person_id}/remove", self.remove, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Everybody, and the form of an invitation."""
        who = await signed_in(request, self._services)
        notice = _NOTICES.get(request.query_params.get("done", ""), "")
        return await self._list(request, who, notice=notice)

    async def invite(self, request: Request) -> Response:
        """Make the link; it is on this one page and nowhere else."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        email = text_of(form, "email")
        try:
            path = await self._services.colleagues.invite(who.org_id, email, who.person_id)
        except InputInvalid as error:
            return await self._list(request, who, email=email, problem=str(error))
        link = f"{self._services.url}{path}"
        return render(request, "person_invited.html", status_code=201, email=email, link=link)

    async def confirm(self, request: Request) -> Response:
        """Ask once more."""
        who = await signed_in(request, self._services)
        return render(request, "person_remove.html", person=await self._other(request, who))

    async def remove(self, request: Request) -> Response:
        """They administer nothing here any more."""
        who = await signed_in(request, self._services)
        await form_of(request, who)
        person = await self._other(request, who)
        await self._services.colleagues.remove(who.org_id, person.person_id, who.person_id)
        return RedirectResponse("/people?done=removed", 303)

    async def _other(self, request: Request, who: SignedIn) -> Colleague:
        wanted = request.path_params["person_id"]
        for person in await self._services.colleagues.list(who.org_id):
            if person.person_id == wanted != who.person_id:
                return person
        raise NotFound("There is no such person, or it is yourself.")

    async def _list(
        self,
        request: Request,
        who: SignedIn,
        *,
        email: str = "",
        notice: str = "",
        problem: str = "",
    ) -> Response:
        now_ms = self._services.now_ms()
        everybody = await self._services.colleagues.list(who.org_id)
        return render(
            request,
            "people.html",
            status_code=400 if problem else 200,
            people=page_of([(person, _state(person, now_ms)) for person in everybody], request),
            email=email,
            notice=notice,
            problem=problem,
        )


def _state(person: Colleague, now_ms: int) -> tuple[str, str]:
    """Whether they have come: the badge's kind and its word."""
    if person.invited_until_ms is None:
        return "ok", "administrator"
    return ("warn", "invited") if person.invited_until_ms > now_ms else ("idle", "never came")

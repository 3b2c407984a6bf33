"""Behind a one-time link: become an administrator, or choose another password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.accounts.passwords import SHORTEST
from byoi_console.errors import InputInvalid
from byoi_console.pages.guard import door_form_of, render, text_of
from byoi_console.pages.sign_in import begin_sign_in

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from byoi_console.accounts.one_time_links import Purpose
    from byoi_console.pages.services import PageServices


class SetUpPages:
    """The routes; each needs a link that is still good."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/setup/{token}", self.show, methods=["GET"]),
            Route("/setup/{token}", self.set_up, methods=["POST"]),
            Route("/reset-password/{token}", self.show_reset, methods=["GET"]),
            Route("/reset-password/{token}", self.reset, methods=["POST"]),
            Route("/invitation/{token}", self.show_invitation, methods=["GET"]),
            Route("/invitation/{token}", self.accept, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form by which the first administrator names themselves."""
        await self._services.links.look(request.path_params["token"], "first-admin")
        return _set_up_form(request, {})

    async def set_up(self, request: Request) -> Response:
        """Make the administrator and the organisation, and sign the browser in."""
        form = await door_form_of(request)
        token = request.path_params["token"]
        email, organisation = text_of(form, "email"), text_of(form, "organisation")
        try:
            password = new_password_of(form)
            person = await self._services.links.set_up(token, email, organisation, password)
        except InputInvalid as error:
            kept = {"email": email, "organisation": organisation}
            return _set_up_form(request, kept, problem=str(error))
        answer = RedirectResponse("/", 303)
        await begin_sign_in(request, answer, self._services, person)
        return answer

    async def show_reset(self, request: Request) -> Response:
        """The form by which somebody chooses another password."""
        return await self._show_password_form(request, "reset-password")

    async def reset(self, request: Request) -> Response:
        """Set it, end every sign-in of the person, and sign this browser in."""
        return await self._set_password(request, "reset-password")

    async def show_invitation(self, request: Request) -> Response:
        """The form by which somebody who is invited chooses their password."""
        return await self._show_password_form(request, "invitation")

    async def accept(self, request: Request) -> Response:
        """Set it, and sign this browser in."""
        return await self._set_password(request, "invitation")

    async def _show_password_form(self, request: Request, purpose: Purpose) -> Response:
        link = await self._services.links.look(request.path_params["token"], purpose)
        return _password_form(request, purpose, link.email or "")

    async def _set_password(self, request: Request, purpose: Purpose) -> Response:
        form = await door_form_of(request)
        token = request.path_params["token"]
        link = await self._services.links.look(token, purpose)
        try:
            password = new_password_of(form)
            person = await self._services.links.set_password(token, password, purpose)
        except InputInvalid as error:
            return _password_form(request, purpose, link.email or "", problem=str(error))
        answer = RedirectResponse("/", 303)
        await begin_sign_in(request, answer, self._services, person)
        return answer


def new_password_of(form: FormData) -> str:
    """A new password, typed twice the same.

    Raises:
        InputInvalid: the two are not the same.
    """
    password = text_of(form, "password")
    if password != text_of(form, "again"):
        raise InputInvalid("The two passwords are not the same.", "again")
    return password


def _password_form(
    request: Request, purpose: Purpose, email: str, *, problem: str = ""
) -> Response:
    return render(
        request,
        "invitation.html" if purpose == "invitation" else "reset_password.html",
        status_code=400 if problem else 200,
        email=email,
        problem=problem,
        shortest=SHORTEST,
    )


def _set_up_form(request: Request, kept: dict[str, str], *, problem: str = "") -> Response:
    return render(
        request,
        "set_up.html",
        status_code=400 if problem else 200,
        email=kept.get("email", ""),
        organisation=kept.get("organisation", ""),
        problem=problem,
        shortest=SHORTEST,
    )

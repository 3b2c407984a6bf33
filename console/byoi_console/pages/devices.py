"""Devices to approve: the code is typed, the machine is looked at, a person decides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.routing import Route

from byoi_console.errors import InputInvalid, NotFound, TooManyAttempts
from byoi_console.nodes.device_flow.requests import Approval, Approver
from byoi_console.pages.guard import form_of, render, signed_in, text_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from byoi_console.nodes.device_flow.requests import DeviceView
    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.services import PageServices

_CODE_LIMIT = 32


class DevicePages:
    """The routes; each needs somebody signed in.

    A machine is shown only in answer to a form, so that no link and no foreign page can make
    somebody look at one, and guess codes in passing.
    """

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/devices", self.ask, methods=["GET"]),
            Route("/devices", self.show, methods=["POST"]),
            Route("/devices/approve", self.approve, methods=["POST"]),
            Route("/devices/deny", self.deny, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The form for the code; a link may fill it in, a person sends it."""
        await signed_in(request, self._services)
        return self._asked(request, request.query_params.get("code", ""))

    async def show(self, request: Request) -> Response:
        """The machine behind a code."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            device = await self._look(request, form, who)
        except (NotFound, TooManyAttempts) as error:
            return self._asked(request, text_of(form, "code"), error)
        return self._shown(request, device, {"organisation": who.org_id})

    async def approve(self, request: Request) -> Response:
        """Let it in, as chosen."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            approval = _approval(form)
            approved = await self._services.devices.approve(
                text_of(form, "code"), approval, _approver(who), peer=_peer(request)
            )
        except (NotFound, TooManyAttempts) as error:
            return self._asked(request, "", error)
        except InputInvalid as error:
            return await self._again(request, form, who, error)
        return render(request, "device_decided.html", approved=approved)

    async def deny(self, request: Request) -> Response:
        """Send it away."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            await self._services.devices.deny(
                text_of(form, "code"), _approver(who), peer=_peer(request)
            )
        except (NotFound, TooManyAttempts) as error:
            return self._asked(request, "", error)
        return render(request, "device_decided.html", approved=None)

    async def _look(self, request: Request, form: FormData, who: SignedIn) -> DeviceView:
        return await self._services.devices.look(
            text_of(form, "code"), _approver(who), peer=_peer(request)
        )

    async def _again(
        self, request: Request, form: FormData, who: SignedIn, error: InputInvalid
    ) -> Response:
        """The same page with what was chosen, and what is wrong with it."""
        try:
            device = await self._look(request, form, who)
        except (NotFound, TooManyAttempts) as gone:
            return self._asked(request, "", gone)
        return self._shown(request, device, dict(form), str(error))

    def _asked(
        self, request: Request, code: str, error: NotFound | TooManyAttempts | None = None
    ) -> Response:
        problem = "" if error is None else str(error)
        status = {type(None): 200, NotFound: 404}.get(type(error), 429)
        headers = {}
        if isinstance(error, TooManyAttempts):
            seconds = math.ceil(error.retry_after_seconds)
            problem = f"Too many wrong codes. Try again in {_span(seconds)}."
            headers["retry-after"] = str(seconds)
        answer = render(
            request,
            "devices.html",
            status_code=status,
            code=code[:_CODE_LIMIT],
            problem=problem,
            url=self._services.url,
        )
        answer.headers.update(headers)
        return answer

    def _shown(
        self, request: Request, device: DeviceView, chosen: dict[str, Any], problem: str = ""
    ) -> Response:
        default = {"mode": "dedicated", "visibility": "org", "community_is_meant": ""}
        return render(
            request,
            "device.html",
            status_code=400 if problem else 200,
            device=device,
            chosen={"take_over": "", "organisation": "", "name": "", **default, **chosen},
            problem=problem,
        )


def _approval(form: FormData) -> Approval:
    """What the form says.

    Raises:
        InputInvalid: a choice is none of those offered, or the community was chosen only once.
    """
    visibility = text_of(form, "visibility")
    if visibility == "community" and text_of(form, "community_is_meant") != "yes":
        raise InputInvalid(
            "For the community both are needed: the choice itself, and the box below it."
        )
    chosen = {
        name: text_of(form, name).strip() or None for name in ("name", "organisation", "take_over")
    }
    try:
        return Approval.model_validate(
            {**chosen, "visibility": visibility, "mode": text_of(form, "mode")}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputInvalid(f"{first['loc'][0]}: {first['msg']}") from error


def _approver(who: SignedIn) -> Approver:
    """The organisation that is looked at comes first: it is the one meant."""
    others = tuple(org.id for org in who.orgs if org.id != who.org_id)
    return Approver(who.person_id, (who.org_id, *others))


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _span(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{seconds} seconds" if seconds <= 120 else f"{minutes} minutes"  # noqa: PLR2004

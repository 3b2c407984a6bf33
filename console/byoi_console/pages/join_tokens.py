"""Join tokens: leave for machines to enrol without a person; made, shown that once, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.errors import InputInvalid, NotFound
from byoi_console.pages.forms import DAY_SECONDS, choice_in, number_in
from byoi_console.pages.guard import form_of, render, signed_in, text_of
from byoi_console.pages.paging import page_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.nodes.join_tokens import TokenFacts
    from byoi_console.pages.services import PageServices
    from byoi_wire.ids import OrgId

EXPIRIES: Final = {
    "hour": ("In an hour", 3600),
    "day": ("In a day", DAY_SECONDS),
    "week": ("In a week", 7 * DAY_SECONDS),
    "month": ("In 30 days", 30 * DAY_SECONDS),
    "year": ("In a year", 365 * DAY_SECONDS),
}
_USES_LIMIT: Final = 100_000
_NOTICES: Final = {"revoked": "The token is revoked. Machines that have joined by it stay."}


class JoinTokenPages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/join-tokens", self.show, methods=["GET"]),
            Route("/join-tokens", self.create, methods=["POST"]),
            Route("/join-tokens/{token_id}/revoke", self.confirm, methods=["GET"]),
            Route("/join-tokens/{token_id}/revoke", self.revoke, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Every token, and the form of a new one."""
        who = await signed_in(request, self._services)
        notice = _NOTICES.get(request.query_params.get("done", ""), "")
        return await self._list(request, who.org_id, {"uses": "1", "expires": ""}, notice=notice)

    async def create(self, request: Request) -> Response:
        """Make one; its text is on this one page and nowhere else."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            uses = number_in(form, "uses", "Machines", _USES_LIMIT) or 1
            seconds = EXPIRIES[choice_in(form, "expires", "Expires", EXPIRIES)][1]
        except InputInvalid as error:
            typed = {name: text_of(form, name) for name in ("uses", "expires")}
            return await self._list(request, who.org_id, typed, problem=str(error))
        new = await self._services.join_tokens.create(
            who.org_id, who.person_id, uses=uses, expires_in_seconds=seconds
        )
        return render(
            request,
            "join_token_made.html",
            status_code=201,
            new=new,
            uses=uses,
            url=self._services.url,
        )

    async def confirm(self, request: Request) -> Response:
        """Ask once more."""
        who = await signed_in(request, self._services)
        tokens = await self._services.join_tokens.list(who.org_id)
        wanted = request.path_params["token_id"]
        found = next((token for token in tokens if token.id == wanted), None)
        if found is None or found.revoked_at_ms is not None:
            raise NotFound("There is no such join token, or it is revoked already.")
        return render(request, "join_token_revoke.html", token=found)

    async def revoke(self, request: Request) -> Response:
        """No machine joins by it any more."""
        who = await signed_in(request, self._services)
        await form_of(request, who)
        token_id = request.path_params["token_id"]
        await self._services.join_tokens.revoke(who.org_id, token_id, who.person_id)
        return RedirectResponse("/join-tokens?done=revoked", 303)

    async def _list(
        self,
        request: Request,
        org_id: OrgId,
        typed: dict[str, str],
        *,
        notice: str = "",
        problem: str = "",
    ) -> Response:
        now_ms = self._services.now_ms()
        tokens = await self._services.join_tokens.list(org_id)
        shown = [(token, _state(token, now_ms)) for token in tokens]
        return render(
            request,
            "join_tokens.html",
            status_code=400 if problem else 200,
            tokens=page_of(shown, request),
            typed=typed,
            expiries={value: label for value, (label, _) in EXPIRIES.items()},
            url=self._services.url,
            notice=notice,
            problem=problem,
        )


def _state(token: TokenFacts, now_ms: int) -> tuple[str, str]:
    """What became of a token: the badge's kind and its word."""
    if token.revoked_at_ms is not None:
        return "bad", "revoked"
    if token.uses_left <= 0:
        return "idle", "used up"
    if token.expires_at_ms <= now_ms:
        return "idle", "expired"
    return "ok", "good"

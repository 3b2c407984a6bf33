"""API keys: listed, made (and shown that once), revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.accounts.keys import KeyRequest
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.pages.forms import DAY_SECONDS, choice_in, name_in, number_in
from byoi_console.pages.guard import form_of, render, signed_in, text_of
from byoi_console.pages.paging import PAGE_SIZE, Page, place_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from byoi_console.accounts.keys import KeyFacts
    from byoi_console.accounts.principal import Scope
    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.services import PageServices
    from byoi_wire.ids import OrgId

SCOPES: Final = {"inference": "Ask models", "admin": "Administer"}
EXPIRIES: Final = {
    "never": ("Never", None),
    "1": ("In a day", 1),
    "7": ("In a week", 7),
    "30": ("In 30 days", 30),
    "90": ("In 90 days", 90),
    "365": ("In a year", 365),
}
_MODELS_LIMIT: Final = 1000
_MODEL_LIMIT: Final = 256
_FIELDS: Final = ("name", "scope", "which", "more_models", "per_minute", "at_once", "expires")
_NOTICES: Final = {"revoked": "The key is revoked: its next request is refused."}


class KeyPages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/keys", self.show, methods=["GET"]),
            Route("/keys/new", self.ask, methods=["GET"]),
            Route("/keys/new", self.create, methods=["POST"]),
            Route("/keys/{key_id}/revoke", self.confirm, methods=["GET"]),
            Route("/keys/{key_id}/revoke", self.revoke, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Every key that is not revoked, the newest first."""
        who = await signed_in(request, self._services)
        total = await self._services.keys.count(who.org_id)
        place = place_of(total, request)
        keys = await self._services.keys.newest(who.org_id, limit=PAGE_SIZE, offset=place.offset)
        return render(
            request,
            "keys.html",
            keys=Page(keys, place.number, place.count, total),
            now_ms=self._services.now_ms(),
            notice=_NOTICES.get(request.query_params.get("done", ""), ""),
        )

    async def ask(self, request: Request) -> Response:
        """The form of a new key."""
        who = await signed_in(request, self._services)
        return self._form(request, who, dict.fromkeys(_FIELDS, ""), [])

    async def create(self, request: Request) -> Response:
        """Make it; its text is on this one page and nowhere else."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        try:
            wanted = _wanted(form)
        except InputInvalid as error:
            typed = {name: text_of(form, name) for name in _FIELDS}
            chosen = [str(model) for model in form.getlist("models")]
            return self._form(request, who, typed, chosen, problem=str(error))
        new = await self._services.keys.create(who.org_id, wanted, who.person_id)
        example = self._example_model(who.org_id, new.facts)
        return render(
            request,
            "key_made.html",
            status_code=201,
            key=new.facts,
            text=new.key,
            scopes=SCOPES,
            url=self._services.url,
            example_model=example,
        )

    async def confirm(self, request: Request) -> Response:
        """Ask once more: a revoked key does not come back."""
        who = await signed_in(request, self._services)
        key = await self._key(request, who.org_id)
        return render(request, "key_revoke.html", key=key, scopes=SCOPES)

    async def revoke(self, request: Request) -> Response:
        """End the key."""
        who = await signed_in(request, self._services)
        await form_of(request, who)
        key_id = request.path_params["key_id"]
        await self._services.keys.revoke(who.org_id, key_id, who.person_id)
        return RedirectResponse("/keys?done=revoked", 303)

    def _form(
        self,
        request: Request,
        who: SignedIn,
        typed: dict[str, str],
        chosen: list[str],
        *,
        problem: str = "",
    ) -> Response:
        context: dict[str, Any] = {
            "typed": typed,
            "chosen": chosen,
            "models": [offer.id for offer in self._services.registry.models(who.org_id)],
            "scopes": SCOPES,
            "expiries": {value: label for value, (label, _) in EXPIRIES.items()},
            "problem": problem,
        }
        return render(request, "key_new.html", status_code=400 if problem else 200, **context)

    async def _key(self, request: Request, org_id: OrgId) -> KeyFacts:
        found = await self._services.keys.get(org_id, request.path_params["key_id"])
        if found is None:
            raise NotFound("There is no such key, or it is revoked already.")
        return found

    def _example_model(self, org_id: OrgId, key: KeyFacts) -> str:
        if key.models:
            return key.models[0]
        offers = self._services.registry.models(org_id)
        return offers[0].id if offers else "MODEL"


def _wanted(form: FormData) -> KeyRequest:
    days = EXPIRIES[choice_in(form, "expires", "Expires", EXPIRIES)][1]
    return KeyRequest(
        name=name_in(form, "name"),
        scope=cast("Scope", choice_in(form, "scope", "May", SCOPES)),
        models=_models_in(form),
        requests_per_minute=number_in(form, "per_minute", "Requests a minute", 1_000_000),
        max_concurrent=number_in(form, "at_once", "Requests at a time", 100_000),
        expires_in_seconds=None if days is None else days * DAY_SECONDS,
    )


def _models_in(form: FormData) -> tuple[str, ...] | None:
    if text_of(form, "which") != "some":
        return None
    ticked = [str(model) for model in form.getlist("models")]
    typed = text_of(form, "more_models").splitlines()
    models = tuple(dict.fromkeys(name for model in (*ticked, *typed) if (name := model.strip())))
    if not models:
        raise InputInvalid("Name at least one model, or choose every model.", "models")
    if len(models) > _MODELS_LIMIT or any(len(model) > _MODEL_LIMIT for model in models):
        raise InputInvalid("That are too many models, or a name is too long.", "models")
    return models

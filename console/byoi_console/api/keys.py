"""`/api/keys`: make, list and revoke an organisation's API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.accounts.keys import KeyFacts, KeyRequest
from byoi_console.accounts.principal import Scope
from byoi_console.api.requests import admin_of, body_of, moment

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services

_TEN_YEARS_SECONDS = 10 * 366 * 24 * 3600


class KeyBody(BaseModel):
    """What a new key may do; a limit left out is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    scope: Scope = "inference"
    models: tuple[str, ...] | None = Field(default=None, max_length=1000)
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    max_concurrent: int | None = Field(default=None, ge=1, le=100_000)
    expires_in_seconds: float | None = Field(default=None, gt=0, le=_TEN_YEARS_SECONDS)


class KeyRoutes:
    """The routes; each needs an admin."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/api/keys", self.list, methods=["GET"]),
            Route("/api/keys", self.create, methods=["POST"]),
            Route("/api/keys/{key_id}", self.revoke, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        """Every key that is not revoked, without its text."""
        admin = await admin_of(request, self._services)
        keys = await self._services.keys.list(admin.org_id)
        return JSONResponse({"object": "list", "data": [_shown(key) for key in keys]})

    async def create(self, request: Request) -> Response:
        """A new key; its text is shown here and never again."""
        admin = await admin_of(request, self._services)
        body = await body_of(request, KeyBody)
        wanted = KeyRequest(**body.model_dump())
        new = await self._services.keys.create(admin.org_id, wanted, admin.key_id)
        return JSONResponse({**_shown(new.facts), "key": new.key}, 201)

    async def revoke(self, request: Request) -> Response:
        """The key's next request is refused."""
        admin = await admin_of(request, self._services)
        key_id = request.path_params["key_id"]
        await self._services.keys.revoke(admin.org_id, key_id, admin.key_id)
        return JSONResponse({"id": key_id, "deleted": True})


def _shown(key: KeyFacts) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope,
        "prefix": key.prefix,
        "models": key.models,
        "requests_per_minute": key.requests_per_minute,
        "max_concurrent": key.max_concurrent,
        "created_at": moment(key.created_at_ms),
        "expires_at": moment(key.expires_at_ms),
    }

"""Join tokens for administrators, and the door at which machines show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of, body_of, moment, peer_of
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.join_tokens import DEFAULT_SECONDS

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services

_YEAR_SECONDS = 366 * 24 * 3600


class JoinTokenBody(BaseModel):
    """How many machines a token admits, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uses: int = Field(default=1, ge=1, le=100_000)
    expires_in_seconds: float = Field(default=DEFAULT_SECONDS, gt=0, le=_YEAR_SECONDS)


class EnrolmentRoutes:
    """The routes; the first needs an admin, the second a join token."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/api/join-tokens", self.create_token, methods=["POST"]),
            Route("/agent/v1/token", self.join, methods=["POST"]),
        ]

    async def create_token(self, request: Request) -> Response:
        """A new join token; its text is shown here and never again."""
        admin = await admin_of(request, self._services)
        body = await body_of(request, JoinTokenBody)
        new = await self._services.join_tokens.create(
            admin.org_id,
            admin.key_id,
            uses=body.uses,
            expires_in_seconds=body.expires_in_seconds,
        )
        shown = {"id": new.id, "token": new.token, "uses": body.uses}
        return JSONResponse({**shown, "expires_at": moment(new.expires_at_ms)}, 201)

    async def join(self, request: Request) -> Response:
        """A machine becomes a node of the token's organisation."""
        body = await body_of(request, JoinRequest)
        enrolled = await self._services.enrolment.join(body, peer=peer_of(request))
        return JSONResponse(enrolled.model_dump())

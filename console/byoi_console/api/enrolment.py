"""Join tokens for administrators, and the doors at which machines enrol, change keys and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of, body_of, moment, peer_of
from byoi_console.errors import InputInvalid
from byoi_console.nodes.device_flow.requests import DeviceRequest, GrantRequest
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.join_tokens import DEFAULT_SECONDS
from byoi_console.nodes.membership import MACHINE_PATTERN, HostFacts
from byoi_console.nodes.node_requests import KeyRequest, UnenrolRequest

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services
    from byoi_console.nodes.join_tokens import TokenFacts

_UNCACHED = {"cache-control": "no-store"}
_YEAR_SECONDS = 366 * 24 * 3600


class JoinTokenBody(BaseModel):
    """How many machines a token admits, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uses: int = Field(default=1, ge=1, le=100_000)
    expires_in_seconds: float = Field(default=DEFAULT_SECONDS, gt=0, le=_YEAR_SECONDS)


class TokenBody(BaseModel):
    """What a machine shows to become a node; unknown fields are ignored.

    Either a join token or a device code. `proof` is the base64 Ed25519 signature over
    `byoi-enrol-v1`, a zero byte, that token or code, a zero byte and the raw public key. With a
    device code, `host` and `machine` are those that it was asked for with.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    join_token: str | None = Field(default=None, max_length=256)
    device_code: str | None = Field(default=None, max_length=256)
    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    host: HostFacts = HostFacts()
    machine: str | None = Field(default=None, pattern=MACHINE_PATTERN)


class EnrolmentRoutes:
    """The routes; those of join tokens need an admin, those of machines a proof."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/api/join-tokens", self.create_token, methods=["POST"]),
            Route("/api/join-tokens", self.list_tokens, methods=["GET"]),
            Route("/api/join-tokens/{token_id}", self.revoke_token, methods=["DELETE"]),
            Route("/agent/v1/device", self.start, methods=["POST"]),
            Route("/agent/v1/token", self.redeem, methods=["POST"]),
            Route("/agent/v1/keys", self.rotate, methods=["POST"]),
            Route("/agent/v1/unenroll", self.unenrol, methods=["POST"]),
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

    async def list_tokens(self, request: Request) -> Response:
        """Every token that was ever made, without its text."""
        admin = await admin_of(request, self._services)
        tokens = await self._services.join_tokens.list(admin.org_id)
        return JSONResponse({"object": "list", "data": [_shown(token) for token in tokens]})

    async def revoke_token(self, request: Request) -> Response:
        """The next machine that shows it is refused."""
        admin = await admin_of(request, self._services)
        token_id = request.path_params["token_id"]
        await self._services.join_tokens.revoke(admin.org_id, token_id, admin.key_id)
        return JSONResponse({"id": token_id, "deleted": True})

    async def start(self, request: Request) -> Response:
        """A machine wants to become a node, and a person shall say of whom."""
        body = await body_of(request, DeviceRequest)
        begun = await self._services.devices.start(body, peer=peer_of(request))
        return JSONResponse(begun.model_dump(), headers=_UNCACHED)

    async def redeem(self, request: Request) -> Response:
        """A machine becomes a node: by a join token, or by a code that a person approved."""
        body, peer = await body_of(request, TokenBody), peer_of(request)
        key = {"public_key": body.public_key, "proof": body.proof}
        if body.device_code is not None and body.join_token is None:
            grant = GrantRequest(device_code=body.device_code, **key)
            enrolled = await self._services.devices.poll(grant, peer=peer)
        elif body.join_token is not None and body.device_code is None:
            facts = {"host": body.host, "machine": body.machine}
            joining = JoinRequest(join_token=body.join_token, **key, **facts)
            enrolled = await self._services.enrolment.join(joining, peer=peer)
        else:
            raise InputInvalid("Give either join_token or device_code.", "join_token")
        return JSONResponse(enrolled.model_dump(), headers=_UNCACHED)

    async def rotate(self, request: Request) -> Response:
        """A node's next key, signed by the one it has."""
        body = await body_of(request, KeyRequest)
        key_id = await self._services.node_requests.rotate(body, peer=peer_of(request))
        return JSONResponse({"key_id": key_id})

    async def unenrol(self, request: Request) -> Response:
        """A node gives its place back."""
        body = await body_of(request, UnenrolRequest)
        await self._services.node_requests.unenrol(body, peer=peer_of(request))
        return JSONResponse({"unenrolled": True})


def _shown(token: TokenFacts) -> dict[str, Any]:
    return {
        "id": token.id,
        "uses": token.uses,
        "uses_left": token.uses_left,
        "created_at": moment(token.created_at_ms),
        "expires_at": moment(token.expires_at_ms),
        "revoked_at": moment(token.revoked_at_ms),
    }

"""`/api/devices`: a person or an admin key lets a waiting machine in, or sends it away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of, body_of, moment, peer_of
from byoi_console.nodes.device_flow.requests import Approval, Approver

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services
    from byoi_console.nodes.device_flow.requests import DeviceView


class DeviceRoutes:
    """The routes; each needs an admin, who must know the code: there is no list of them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        path = "/api/devices/{user_code}"
        return [
            Route(path, self.show, methods=["GET"]),
            Route(f"{path}/approve", self.approve, methods=["POST"]),
            Route(f"{path}/deny", self.deny, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The machine that waits with this code."""
        view = await self._services.devices.look(**await self._asked(request))
        return JSONResponse(_shown(view))

    async def approve(self, request: Request) -> Response:
        """It becomes a node when it asks next."""
        asked = await self._asked(request)
        approval = await body_of(request, Approval)
        approved = await self._services.devices.approve(**asked, approval=approval)
        return JSONResponse(
            {
                "approved": True,
                "user_code": approved.user_code,
                "organisation": approved.org_id,
                "name": approved.name,
                "visibility": approved.visibility,
                "mode": approved.mode,
                "take_over": approved.take_over,
            }
        )

    async def deny(self, request: Request) -> Response:
        """It is told so when it asks next."""
        asked = await self._asked(request)
        await self._services.devices.deny(**asked)
        return JSONResponse({"denied": True})

    async def _asked(self, request: Request) -> dict[str, Any]:
        admin = await admin_of(request, self._services)
        return {
            "user_code": request.path_params["user_code"],
            "approver": Approver(admin.key_id, (admin.org_id,)),
            "peer": peer_of(request),
        }


def _shown(view: DeviceView) -> dict[str, Any]:
    return {
        "user_code": view.user_code,
        "name": view.name,
        "os": view.os,
        "architecture": view.architecture,
        "gpus": view.gpus,
        "agent_version": view.agent_version,
        "address": view.address,
        "fingerprint": view.fingerprint,
        "created_at": moment(view.created_at_ms),
        "expires_at": moment(view.expires_at_ms),
        "previous": [
            {
                "node_id": node.node_id,
                "name": node.name,
                "last_seen_at": moment(node.last_seen_at_ms),
            }
            for node in view.previous
        ],
    }

"""`/api/nodes`: what an organisation's nodes are and do now, and how one is sent away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of, moment
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound
from byoi_console.nodes.presence import presence
from byoi_wire.ids import NodeId
from byoi_wire.version import LEASE_SECONDS

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services
    from byoi_console.nodes.records import NodeRecord
    from byoi_console.routing.registry import LiveFacts


class NodeRoutes:
    """The routes; each needs an admin."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/api/nodes", self.list, methods=["GET"]),
            Route("/api/nodes/{node_id}", self.show, methods=["GET"]),
            Route("/api/nodes/{node_id}", self.delete, methods=["DELETE"]),
            Route("/api/nodes/{node_id}/revoke", self.revoke, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """Every node, live or not."""
        admin = await admin_of(request, self._services)
        nodes = await self._services.records.list(admin.org_id)
        return JSONResponse({"object": "list", "data": [self._shown(node) for node in nodes]})

    async def show(self, request: Request) -> Response:
        """One node."""
        return JSONResponse(self._shown(await self._node(request)))

    async def revoke(self, request: Request) -> Response:
        """Its key proves nothing any more, and its session ends at once."""
        node = await self._node(request)
        admin = await admin_of(request, self._services)
        await self._services.records.revoke(node.node_id, admin.key_id)
        self._services.disconnect(node.node_id)
        return JSONResponse({"id": node.node_id, "revoked": True})

    async def delete(self, request: Request) -> Response:
        """Revoked, and listed no more."""
        node = await self._node(request)
        admin = await admin_of(request, self._services)
        await self._services.records.delete(node.node_id, admin.key_id)
        self._services.disconnect(node.node_id)
        return JSONResponse({"id": node.node_id, "deleted": True})

    async def _node(self, request: Request) -> NodeRecord:
        admin = await admin_of(request, self._services)
        node = await self._services.records.get(NodeId(request.path_params["node_id"]))
        if node is None or node.org_id != admin.org_id:
            raise NotFound("There is no such node.")
        return node

    def _shown(self, node: NodeRecord) -> dict[str, Any]:
        facts = self._services.registry.facts(node.node_id)
        return {
            "id": node.node_id,
            "node_id": node.node_id,
            "name": node.name,
            "state": _state(node, facts),
            "is_revoked": node.is_revoked,
            "epoch": node.epoch,
            "created_at": moment(node.created_at_ms),
            "last_seen_at": moment(node.last_seen_at_ms),
            "host": node.host,
            **_live(facts),
        }


def _state(node: NodeRecord, facts: LiveFacts | None) -> str:
    seen = node.last_seen_at_ms
    return presence(
        is_live=facts is not None,
        is_connected=facts is not None and facts.connected,
        has_departed=node.has_departed or node.is_revoked,
        seconds_since_seen=None if seen is None else (wall_ms() - seen) / 1000,
        lease_seconds=LEASE_SECONDS,
    )


def _live(facts: LiveFacts | None) -> dict[str, Any]:
    if facts is None:
        return {"devices": [], "models": [], "slots": 0, "queue": 0, "in_flight": 0}
    offered = facts.advertise
    return {
        "host": offered.host.model_dump(),
        "agent_version": offered.agent_version,
        "devices": [device.model_dump() for device in offered.devices],
        "models": [model.model_dump() for model in offered.models],
        "slots": offered.slots,
        "queue": offered.queue,
        "in_flight": facts.in_flight,
        "is_serving": facts.is_serving,
        "reason": facts.reason,
        "load": None if facts.status is None else facts.status.model_dump(exclude={"type"}),
    }

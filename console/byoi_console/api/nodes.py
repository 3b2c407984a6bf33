"""`/api/nodes`: what an organisation's nodes are and do now, and how one is sent away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of, body_of, moment
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound
from byoi_console.nodes.availability import availability_of
from byoi_console.nodes.membership import Mode, Readable, Visibility
from byoi_console.nodes.pins import REASON_LIMIT
from byoi_console.nodes.presence import presence
from byoi_console.nodes.records import NodeChanges
from byoi_wire.ids import NodeId
from byoi_wire.version import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from byoi_console.api.services import Services
    from byoi_console.nodes.pins import Pin
    from byoi_console.nodes.records import KeyFacts, NodeRecord
    from byoi_console.routing.registry import LiveFacts


class ChangesBody(BaseModel):
    """What is to be different; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Readable | None = Field(default=None, min_length=1, max_length=200)
    visibility: Visibility | None = None
    mode: Mode | None = None


class PinBody(BaseModel):
    """Why the organisation wants the node for itself; its owner reads that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Readable = Field(default="", max_length=REASON_LIMIT)


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
            Route("/api/nodes/{node_id}", self.change, methods=["PATCH"]),
            Route("/api/nodes/{node_id}", self.delete, methods=["DELETE"]),
            Route("/api/nodes/{node_id}/revoke", self.revoke, methods=["POST"]),
            Route("/api/nodes/{node_id}/drain", self.drain, methods=["POST"]),
            Route("/api/nodes/{node_id}/undrain", self.undrain, methods=["POST"]),
            Route("/api/nodes/{node_id}/pin", self.pin, methods=["POST"]),
            Route("/api/nodes/{node_id}/unpin", self.unpin, methods=["POST"]),
            Route("/api/nodes/{node_id}/rotate-key", self.rotate_key, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """Every node, live or not."""
        admin = await admin_of(request, self._services)
        nodes = await self._services.records.list(admin.org_id)
        return JSONResponse({"object": "list", "data": await self._shown(nodes)})

    async def show(self, request: Request) -> Response:
        """One node."""
        node, _ = await self._asked(request)
        (shown,) = await self._shown([node])
        return JSONResponse(shown)

    async def change(self, request: Request) -> Response:
        """Another name, visibility or mode."""
        node, actor = await self._asked(request)
        body = await body_of(request, ChangesBody)
        changes = NodeChanges(name=body.name, visibility=body.visibility, mode=body.mode)
        await self._services.administration.change(node.node_id, changes, actor)
        return await self.show(request)

    async def revoke(self, request: Request) -> Response:
        """Its keys prove nothing any more, and its session ends at once."""
        node, actor = await self._asked(request)
        await self._services.administration.revoke(node.node_id, actor)
        return JSONResponse({"id": node.node_id, "revoked": True})

    async def delete(self, request: Request) -> Response:
        """Revoked, and listed no more."""
        node, actor = await self._asked(request)
        await self._services.administration.delete(node.node_id, actor)
        return JSONResponse({"id": node.node_id, "deleted": True})

    async def drain(self, request: Request) -> Response:
        """Nothing new goes there; what runs there ends by itself."""
        node, actor = await self._asked(request)
        await self._services.administration.drain(node.node_id, actor)
        return JSONResponse({"id": node.node_id, "is_drained": True})

    async def undrain(self, request: Request) -> Response:
        """It is served again as it says itself."""
        node, actor = await self._asked(request)
        await self._services.administration.undrain(node.node_id, actor)
        return JSONResponse({"id": node.node_id, "is_drained": False})

    async def pin(self, request: Request) -> Response:
        """Ask its owner to dedicate it: now where it is connected, else when it is back."""
        node, actor = await self._asked(request)
        body = await body_of(request, PinBody)
        administration = self._services.administration
        told = f"API key {actor}"
        is_told = await administration.ask_for(node.node_id, body.reason, actor, told)
        pin = _pin(administration.pin_of(node.node_id))
        return JSONResponse({"id": node.node_id, "pin": pin, "delivered": is_told}, 202)

    async def unpin(self, request: Request) -> Response:
        """It serves as before; a wish that was not answered yet is taken back."""
        node, actor = await self._asked(request)
        await self._services.administration.unpin(node.node_id, actor)
        pin = _pin(self._services.administration.pin_of(node.node_id))
        return JSONResponse({"id": node.node_id, "pin": pin})

    async def rotate_key(self, request: Request) -> Response:
        """It shall make itself a new key: now where it is connected, else when it is back."""
        node, actor = await self._asked(request)
        is_told = await self._services.administration.order_rotation(node.node_id, actor)
        return JSONResponse({"id": node.node_id, "ordered": True, "delivered": is_told}, 202)

    async def _asked(self, request: Request) -> tuple[NodeRecord, str]:
        admin = await admin_of(request, self._services)
        node = await self._services.records.get(NodeId(request.path_params["node_id"]))
        if node is None or node.org_id != admin.org_id:
            raise NotFound("There is no such node.")
        return node, admin.key_id

    async def _shown(self, nodes: Sequence[NodeRecord]) -> Sequence[dict[str, Any]]:
        keys = await self._services.records.keys([node.node_id for node in nodes])
        return [self._one(node, keys[node.node_id]) for node in nodes]

    def _one(self, node: NodeRecord, keys: Sequence[KeyFacts]) -> dict[str, Any]:
        facts = self._services.registry.facts(node.node_id)
        return {
            "id": node.node_id,
            "node_id": node.node_id,
            "name": node.name,
            "state": _state(node, facts),
            "visibility": node.visibility,
            "mode": node.mode,
            "is_revoked": node.is_revoked,
            "is_drained": node.drained_at_ms is not None,
            "drained_at": moment(node.drained_at_ms),
            "pin": _pin(self._services.administration.pin_of(node.node_id)),
            "rotation_ordered_at": moment(node.rotation_ordered_at_ms),
            "enrolled_by": node.enrolled_by,
            "address": self._services.administration.address(node.node_id),
            "keys": [_key(key) for key in keys],
            "epoch": node.epoch,
            "created_at": moment(node.created_at_ms),
            "last_seen_at": moment(node.last_seen_at_ms),
            "host": node.host,
            **_live(facts),
        }


def _pin(pin: Pin | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {
        "id": pin.pin_id,
        "state": pin.state,
        "org_id": pin.org_id,
        "organisation": pin.organisation,
        "reason": pin.reason,
        "asked_by": pin.asked_by,
        "asked_at": moment(pin.asked_at_ms),
        "answered_by": pin.answered_by,
        "answered_at": moment(pin.answered_at_ms),
        "ended_by": pin.ended_by,
        "ended_at": moment(pin.ended_at_ms),
    }


def _availability(facts: LiveFacts) -> dict[str, Any]:
    """Whether it serves and why, in one word (`state`) and in the owner's."""
    told = facts.availability
    return {
        "state": availability_of(facts),
        "code": "drained" if facts.is_drained else told.code,
        "reason": facts.reason,
        "mode": told.mode,
        "is_paused": told.is_paused,
        "until": moment(told.until_ms),
    }


def _key(key: KeyFacts) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "fingerprint": key.fingerprint,
        "created_at": moment(key.created_at_ms),
        "first_used_at": moment(key.first_used_at_ms),
        "revoked_at": moment(key.revoked_at_ms),
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
        "availability": _availability(facts),
        "load": None if facts.status is None else facts.status.model_dump(exclude={"type"}),
    }

"""What an administrator does to a node: written down first, then told to whoever is live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_console.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.nodes.pins import Pin, Pins
    from byoi_console.nodes.records import NodeChanges, NodeRecords
    from byoi_console.nodes.session import Sessions
    from byoi_console.routing.registry import Registry
    from byoi_wire.ids import NodeId

_RECALLED_MS: Final = 24 * 3600 * 1000
"""How long ago a node may have been here for its models to be awaited rather than unknown."""


class NodeAdministration:
    """The order of things for API and pages; keeps nothing.

    Each raises NotFound where there is no such node; whose node it is, the caller has checked.
    """

    def __init__(
        self,
        records: NodeRecords,
        sessions: Sessions,
        registry: Registry,
        pins: Pins,
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._records = records
        self._sessions = sessions
        self._registry = registry
        self._pins = pins
        self._now_ms = now_ms

    async def load(self) -> None:
        """What earlier runs were told, before the first node comes."""
        for node_id in await self._records.drained():
            self._registry.set_drained(node_id, True)
        for offer in await self._records.offered_since(self._now_ms() - _RECALLED_MS):
            self._registry.recall(*offer)
        await self._pins.load()

    async def revoke(self, node_id: NodeId, actor: str) -> None:
        """Its keys prove nothing any more, and its session ends at once."""
        await self._records.revoke(node_id, actor)
        self.gone(node_id)

    async def delete(self, node_id: NodeId, actor: str) -> None:
        """Revoked, and listed no more."""
        await self._records.delete(node_id, actor)
        self.gone(node_id)

    def gone(self, node_id: NodeId) -> None:
        """It is no node any more: its session ends, and nobody waits for its models."""
        self._registry.forget(node_id)
        self._sessions.disconnect(node_id)

    async def drain(self, node_id: NodeId, actor: str) -> None:
        """Nothing new goes there, whatever the node says, until `undrain`."""
        await self._records.drain(node_id, True, actor)
        self._registry.set_drained(node_id, True)

    async def undrain(self, node_id: NodeId, actor: str) -> None:
        """It is served again as it says itself."""
        await self._records.drain(node_id, False, actor)
        self._registry.set_drained(node_id, False)

    async def order_rotation(self, node_id: NodeId, actor: str) -> bool:
        """It shall make itself a new key; False: it hears so when it is back."""
        await self._records.order_rotation(node_id, actor)
        return self._sessions.ask_for_new_key(node_id)

    async def change(self, node_id: NodeId, changes: NodeChanges, actor: str) -> None:
        """Another name, visibility or mode."""
        await self._records.change(node_id, changes, actor)

    async def ask_for(self, node_id: NodeId, reason: str, actor: str, asked_by: str) -> bool:
        """Ask its owner to dedicate it to the organisation; False: it hears so when it is back.

        Raises InputInvalid as well: too long a reason, or it is asked for already.
        """
        return await self._pins.ask(node_id, reason, actor, asked_by)

    async def unpin(self, node_id: NodeId, actor: str) -> None:
        """The organisation does not want it for itself any more, or not yet."""
        await self._pins.end(node_id, actor)

    def pin_of(self, node_id: NodeId) -> Pin | None:
        """The pin that is asked for or granted there, else what became of the last one."""
        return self._pins.of(node_id)

    def address(self, node_id: NodeId) -> str | None:
        """Where its link comes from; None: none leads there now."""
        return self._sessions.address(node_id)

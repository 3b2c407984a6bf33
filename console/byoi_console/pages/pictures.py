"""Makes the pictures of an organisation's nodes from what the rooms below know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_console.pages.node_views import NodeView, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.nodes.pins import Pin
    from byoi_console.nodes.records import NodeRecord, NodeRecords
    from byoi_console.routing.registry import Registry
    from byoi_wire.ids import NodeId, OrgId


class NodePictures:
    """Records, live facts and throughput put together; keeps nothing itself."""

    def __init__(
        self,
        records: NodeRecords,
        registry: Registry,
        tokens_per_second: Callable[[NodeId], float],
        now_ms: Callable[[], int],
        pin_of: Callable[[NodeId], Pin | None],
    ) -> None:
        self._records = records
        self._registry = registry
        self._tokens_per_second = tokens_per_second
        self._now_ms = now_ms
        self._pin_of = pin_of

    async def look(self, org_id: OrgId) -> tuple[NodeView, ...]:
        """All of an organisation's nodes as they are now, the oldest first."""
        return tuple(self.of(record) for record in await self._records.list(org_id))

    def of(self, record: NodeRecord) -> NodeView:
        """One of them."""
        node_id = record.node_id
        rate = self._tokens_per_second(node_id)
        facts, pin = self._registry.facts(node_id), self._pin_of(node_id)
        return view_of(record, facts, rate, self._now_ms(), pin)

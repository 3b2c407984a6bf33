"""What the pages need of the rooms below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_console.accounts.colleagues import Colleagues
    from byoi_console.accounts.keys import ApiKeys
    from byoi_console.accounts.one_time_links import OneTimeLinks
    from byoi_console.accounts.organisations import Organisations
    from byoi_console.accounts.people import People
    from byoi_console.accounts.sign_ins import SignIns
    from byoi_console.ledger.usage import UsageQueries
    from byoi_console.nodes.administration import NodeAdministration
    from byoi_console.nodes.devices import Devices
    from byoi_console.nodes.join_tokens import JoinTokens
    from byoi_console.nodes.records import NodeRecords
    from byoi_console.pages.node_views import NodeView
    from byoi_console.pages.pictures import NodePictures
    from byoi_console.pages.viewers import Viewers
    from byoi_console.routing.registry import Registry
    from byoi_wire.ids import NodeId


@dataclass(frozen=True)
class PageServices:
    """The rooms, and callables of those that the pages may not know.

    `url` is where people and machines reach this console (`https://byoi.example`), as pages show
    it in commands. `caught_up` returns once the ledger has what it was told so far. `disconnect`
    ends a node's session at once. `now_ms` is the clock that pages tell ages by.
    """

    url: str
    people: People
    sign_ins: SignIns
    links: OneTimeLinks
    colleagues: Colleagues
    organisations: Organisations
    keys: ApiKeys
    join_tokens: JoinTokens
    devices: Devices
    records: NodeRecords
    administration: NodeAdministration
    registry: Registry
    pictures: NodePictures
    viewers: Viewers[tuple[NodeView, ...]]
    usage: UsageQueries
    caught_up: Callable[[], Awaitable[None]]
    disconnect: Callable[[NodeId], None]
    now_ms: Callable[[], int]

    @property
    def is_https(self) -> bool:
        """Whether browsers come encrypted, so that a cookie may be kept to that."""
        return self.url.startswith("https://")

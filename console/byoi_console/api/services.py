"""What the API needs of the rooms below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_console.accounts.keys import ApiKeys
    from byoi_console.accounts.people import People
    from byoi_console.accounts.sign_ins import SignIns
    from byoi_console.ledger.usage import UsageQueries
    from byoi_console.nodes.administration import NodeAdministration
    from byoi_console.nodes.devices import Devices
    from byoi_console.nodes.enrolment import Enrolment
    from byoi_console.nodes.join_tokens import JoinTokens
    from byoi_console.nodes.node_requests import NodeRequests
    from byoi_console.nodes.records import NodeRecords
    from byoi_console.routing.registry import Registry


@dataclass(frozen=True)
class Services:
    """The rooms, and callables of those that the API may not know.

    `url` is where browsers reach this console. `caught_up` returns once the ledger has what it was
    told so far. `why_not_ready` is None when requests
    can be served, else the reason in a few words. `metrics` makes a scrape's answer and its content
    type from an Accept header.
    """

    url: str
    keys: ApiKeys
    people: People
    sign_ins: SignIns
    join_tokens: JoinTokens
    enrolment: Enrolment
    devices: Devices
    node_requests: NodeRequests
    records: NodeRecords
    administration: NodeAdministration
    registry: Registry
    usage: UsageQueries
    caught_up: Callable[[], Awaitable[None]]
    why_not_ready: Callable[[], Awaitable[str | None]]
    metrics: Callable[[str | None], Awaitable[tuple[bytes, str]]]
    metrics_are_public: bool

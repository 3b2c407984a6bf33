"""What can serve now: the live nodes, what they offer, and how much each has in hand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from byoi_console.routing.choose import Candidate, group_of
from byoi_console.routing.hand_backs import HandBacks
from byoi_console.routing.recollection import Recollection
from byoi_wire.messages import Availability

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from byoi_wire.aio.session import StreamHandler
    from byoi_wire.ids import ModelId, NodeId, OrgId, StreamId
    from byoi_wire.messages import Advertise, OpenHead, ResetCode, Status, Trailer
    from byoi_wire.offers import ModelOffer


SERVES: Final = Availability(serving=True)
"""What a node says that says nothing of it."""

STOPS: Final = Availability(serving=False, reason="draining", code="draining")
"""What a node says that is about to leave."""


class StreamOpener(Protocol):
    """What a request needs of a node's session (`byoi_wire.aio.session.Session` is one)."""

    @property
    def connected(self) -> bool:
        """Whether a link carries the session now."""

    def open(self, head: OpenHead, handler: StreamHandler) -> StreamId:
        """Begin a request."""

    def send(self, stream: StreamId, data: bytes) -> bool:
        """Queue a piece of its body; False asks to wait for `send_allowed`."""

    def end(self, stream: StreamId, trailer: Trailer | None = None) -> None:
        """Its body is complete."""

    def reset(self, stream: StreamId, code: ResetCode, reason: str = "") -> None:
        """Cut it."""

    def consumed(self, stream: StreamId, count: int) -> None:
        """So many bytes of the answer have gone on."""


class LiveNode(Protocol):
    """A node with a session, as the agents' door registers it."""

    @property
    def node_id(self) -> NodeId:
        """Which node."""

    @property
    def org_id(self) -> OrgId:
        """Whose node."""

    @property
    def session(self) -> StreamOpener:
        """Where to open its streams."""


@dataclass(frozen=True)
class LiveFacts:
    """What is known of a live node at this moment."""

    node_id: NodeId
    org_id: OrgId
    connected: bool
    is_serving: bool
    reason: str
    advertise: Advertise
    status: Status | None
    in_flight: int
    is_drained: bool = False
    availability: Availability = SERVES
    pinned_to: OrgId | None = None
    restless: float = 0.0


@dataclass(frozen=True)
class _Entry:
    """`offered` is its last offer that had any, as model: paths: one at rest may offer none."""

    node: LiveNode
    advertise: Advertise
    offered: Mapping[ModelId, Collection[str]]
    status: Status | None = None
    availability: Availability = SERVES


DRAINED: Final = "drained by an administrator"
"""Why a node gets nothing new, whatever it says of itself."""


class Registry:
    """Sole owner of the live nodes and of the requests in hand at each.

    Calls about a node that is not here (any more) are ignored: its session may end at any time.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._entries: dict[NodeId, _Entry] = {}
        # Beside the entries: a request's place outlives the session that it was opened through.
        self._in_flight: dict[NodeId, Counter[ModelId]] = {}
        # An administrator's wish stands whether or not the node is here, and so does a pin.
        self._drained: set[NodeId] = set()
        self._pinned: dict[NodeId, OrgId] = {}
        # What a node has offered outlives its session too: it may come back with it.
        self._had = Recollection()
        # And so does how its owner is: one that leaves and returns with each key is the same.
        self._hand_backs = HandBacks()
        self._changed = asyncio.Event()

    # What the agents' door tells

    def add(
        self, node: LiveNode, advertise: Advertise, availability: Availability = SERVES
    ) -> None:
        """A node's first advertisement of a session; a former session of it is forgotten."""
        offered = {offer.id: offer.routes for offer in advertise.models}
        entry = _Entry(node, advertise, offered, availability=availability)
        self._entries[node.node_id] = entry
        self._recollect(node.node_id)
        self.changed()

    def update(self, node_id: NodeId, advertise: Advertise) -> None:
        """A later advertisement: it replaces the one before."""
        offered = {offer.id: offer.routes for offer in advertise.models}
        kept = {"offered": offered} if offered else {}
        self._replace(node_id, advertise=advertise, **kept)
        self._recollect(node_id)

    def set_status(self, node_id: NodeId, status: Status) -> None:
        """The node's own load and temperatures; shown, not routed by."""
        if entry := self._entries.get(node_id):
            self._entries[node_id] = replace(entry, status=status)

    def set_availability(self, node_id: NodeId, availability: Availability) -> None:
        """Whether new requests may go there (its owner's wish, or it is about to leave)."""
        self._replace(node_id, availability=availability)
        self._recollect(node_id)

    def set_pinned(self, node_id: NodeId, org_id: OrgId | None) -> None:
        """Whom its owner has dedicated it to; None: nobody, or nobody any more."""
        if org_id is None:
            self._pinned.pop(node_id, None)
        else:
            self._pinned[node_id] = org_id
        self.changed()

    def set_drained(self, node_id: NodeId, is_drained: bool) -> None:
        """An administrator's wish that nothing new goes there; what runs there ends by itself."""
        if is_drained:
            self._drained.add(node_id)
        else:
            self._drained.discard(node_id)
        self.changed()

    def remove(self, node_id: NodeId, node: LiveNode) -> None:
        """`node`'s session is over; no news where another session has taken its place."""
        entry = self._entries.get(node_id)
        if entry is not None and entry.node is node:
            del self._entries[node_id]
            self._had.rests(node_id, self._monotonic())
            self.changed()

    def recall(self, node_id: NodeId, org_id: OrgId, models: Iterable[ModelId]) -> None:
        """A node has these, or had them when it was last here; while it is away they are known."""
        self._had.recall(node_id, org_id, models)

    def forget(self, node_id: NodeId) -> None:
        """It was revoked or has left for good: nobody waits for its models any more."""
        self._had.forget(node_id)
        self._hand_backs.forget(node_id)

    def changed(self) -> None:
        """Wake whoever waits: something may be possible now that was not (a link is back)."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # What a request asks

    def node(self, node_id: NodeId) -> LiveNode | None:
        """The live node, to open a stream at."""
        entry = self._entries.get(node_id)
        return entry.node if entry else None

    def candidates(self, model: ModelId, org_id: OrgId) -> list[Candidate]:
        """The organisation's nodes that offer `model` and serve at all."""
        return [
            self._candidate(node_id, entry, offer)
            for node_id, entry in self._entries.items()
            if self._takes(node_id, entry) and self._is_for(node_id, entry, org_id)
            for offer in entry.advertise.models
            if offer.id == model
        ]

    def away(self, model: ModelId, org_id: OrgId) -> list[Availability]:
        """What those say that have `model`, or may have it, and take no requests now.

        One that is about to leave is none of them: it may be back in a moment.
        """
        return [
            entry.availability
            for node_id, entry in self._entries.items()
            if self.is_away(node_id)
            and self._is_for(node_id, entry, org_id)
            and (model in entry.offered or not entry.offered)
        ]

    def is_known(self, model: ModelId, org_id: OrgId) -> bool:
        """Whether a node that the organisation may ask has `model`, or may come back with it."""
        who_had = self._had.who_had(model, org_id, self._monotonic())
        return any(self._pinned.get(node_id, org_id) == org_id for node_id in who_had)

    def may_answer(self, model: ModelId, org_id: OrgId, path: str) -> bool:
        """Whether a node answers at `path` with `model`, or may once it is back.

        Where one that is not here, or does not offer the model now, would answer nobody knows.
        """
        gone = set(self._had.who_had(model, org_id, self._monotonic()))
        for node_id, entry in self._entries.items():
            if model in entry.offered:
                gone.discard(node_id)
                may = path in entry.offered[model]
            else:
                may = not entry.offered and self.is_away(node_id)  # it has not said what it has
            if may and self._is_for(node_id, entry, org_id):
                return True
        return any(self._pinned.get(node_id, org_id) == org_id for node_id in gone)

    def is_away(self, node_id: NodeId) -> bool:
        """Whether a live node takes nothing by its owner's wish, or an administrator's."""
        entry = self._entries.get(node_id)
        if entry is None or entry.availability is STOPS:
            return False
        return not self._takes(node_id, entry)

    def _candidate(self, node_id: NodeId, entry: _Entry, offer: ModelOffer) -> Candidate:
        here, own = self._in_flight.get(node_id, Counter()), offer.slots
        return Candidate(
            node_id=node_id,
            model=offer,
            slots=entry.advertise.slots if own is None else own,
            queue=entry.advertise.queue,
            in_flight=here.total() if own is None else here[group_of(offer)],
            connected=entry.node.session.connected,
            restless=self._hand_backs.share(node_id, self._monotonic()),
        )

    def models(self, org_id: OrgId) -> tuple[ModelOffer, ...]:
        """What the organisation's nodes offer, one entry per model, by name; a loaded one first."""
        found: dict[ModelId, ModelOffer] = {}
        for node_id, entry in self._entries.items():
            if self._takes(node_id, entry) and self._is_for(node_id, entry, org_id):
                for offer in entry.advertise.models:
                    other = found.get(offer.id)
                    if other is None or (offer.is_loaded and not other.is_loaded):
                        found[offer.id] = offer
        return tuple(found[name] for name in sorted(found))

    def reserve(self, node_id: NodeId, group: ModelId) -> None:
        """One more request is in that node's hands; pair it with one `release` of the same."""
        self._in_flight.setdefault(node_id, Counter())[group] += 1

    def release(self, node_id: NodeId, group: ModelId) -> None:
        """A reserved request is over."""
        here = self._in_flight[node_id]
        here[group] -= 1
        if not here[group]:
            del here[group]
        if not here:
            del self._in_flight[node_id]
        self.changed()

    def handed_back(self, node_id: NodeId) -> None:
        """Its owner came back while it answered: for a while it is not asked before its equals."""
        self._hand_backs.add(node_id, self._monotonic())

    async def wait_for_change(self) -> None:
        """Until a node came, went, changed what it offers, or has a place free.

        Nothing between a look at `candidates` and this call is missed, as long as nothing was
        awaited in between. The caller bounds the wait.
        """
        await self._changed.wait()

    # What people see

    def facts(self, node_id: NodeId) -> LiveFacts | None:
        """A live node as it is now; None: it has no session."""
        entry = self._entries.get(node_id)
        if entry is None:
            return None
        is_drained = node_id in self._drained
        return LiveFacts(
            node_id=node_id,
            org_id=entry.node.org_id,
            connected=entry.node.session.connected,
            is_serving=self._takes(node_id, entry),
            reason=DRAINED if is_drained else entry.availability.reason,
            advertise=entry.advertise,
            status=entry.status,
            in_flight=self._in_flight.get(node_id, Counter()).total(),
            is_drained=is_drained,
            availability=entry.availability,
            pinned_to=self._pinned.get(node_id),
            restless=self._hand_backs.share(node_id, self._monotonic()),
        )

    def live(self) -> tuple[NodeId, ...]:
        """Every node that has a session."""
        return tuple(self._entries)

    def _recollect(self, node_id: NodeId) -> None:
        if (entry := self._entries.get(node_id)) is None:
            return
        models, owner = [offer.id for offer in entry.advertise.models], entry.node.org_id
        if entry.availability.serving:
            self._had.serves(node_id, owner, models, self._monotonic())
        else:
            self._had.rests(node_id, self._monotonic())
            self._had.recall(node_id, owner, models)

    def _takes(self, node_id: NodeId, entry: _Entry) -> bool:
        return entry.availability.serving and node_id not in self._drained

    def _is_for(self, node_id: NodeId, entry: _Entry, org_id: OrgId) -> bool:
        """Whether an organisation may ask it at all."""
        return entry.node.org_id == org_id and self._pinned.get(node_id, org_id) == org_id

    def _replace(self, node_id: NodeId, **changes: object) -> None:
        if entry := self._entries.get(node_id):
            self._entries[node_id] = replace(entry, **changes)  # type: ignore[arg-type]
            self.changed()

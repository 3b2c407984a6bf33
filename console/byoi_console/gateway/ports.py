"""What the gateway needs of other rooms, as small as it needs it; the app passes the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoi_console.accounts.principal import Principal
    from byoi_console.ledger.entries import Posting
    from byoi_console.ledger.tickets import TicketFacts
    from byoi_console.routing.choose import Candidate
    from byoi_console.routing.registry import StreamOpener
    from byoi_wire.ids import ModelId, NodeId, OrgId
    from byoi_wire.messages import Availability
    from byoi_wire.offers import ModelOffer


class Answered(NamedTuple):
    """A request to `/v1` that is over, for whoever counts.

    Attributes:
        route: the path, if it is one of ours, else empty.
        model: the model, if the caller may have it, else empty: callers cannot make names up.
        outcome: complete, refused (the request's or its caller's fault), failed (ours, or the
            node's, also in the middle of an answer), or cancelled (the client left).
        seconds: from its last byte in to its last byte out.
    """

    route: str
    model: str
    status: int
    outcome: Literal["complete", "refused", "failed", "cancelled"]
    seconds: float


class LiveNode(Protocol):
    """A node whose session lives, connected or about to resume."""

    @property
    def session(self) -> StreamOpener:
        """Where requests are sent."""


class Nodes(Protocol):
    """The live nodes and what they offer (`routing.registry`)."""

    def node(self, node_id: NodeId) -> LiveNode | None:
        """The node of that name, while it lives."""

    def models(self, org_id: OrgId) -> Sequence[ModelOffer]:
        """What an organisation may ask for now."""

    def candidates(self, model: ModelId, org_id: OrgId) -> Sequence[Candidate]:
        """Who offers a model."""

    def away(self, model: ModelId, org_id: OrgId) -> Sequence[Availability]:
        """What nodes say that have a model, as far as is known, and take no requests now."""

    def is_known(self, model: ModelId, org_id: OrgId) -> bool:
        """Whether a node has a model, or had it when it was last here."""

    def may_answer(self, model: ModelId, org_id: OrgId, path: str) -> bool:
        """Whether a node answers at `path` with a model, or may once it is back."""

    def is_away(self, node_id: NodeId) -> bool:
        """Whether a node that lives takes no requests now by its owner's or an admin's wish."""

    def reserve(self, node_id: NodeId, group: ModelId) -> None:
        """Count a request that is about to be sent to a node."""

    def release(self, node_id: NodeId, group: ModelId) -> None:
        """That request is over."""

    def handed_back(self, node_id: NodeId) -> None:
        """The node's owner took the machine back while it answered."""

    async def wait_for_change(self) -> None:
        """Return once a node came, went or changed its offer."""


class Keys(Protocol):
    """Who is calling (`accounts.keys`)."""

    def cached(self, authorization: str | None) -> Principal | None:
        """The principal of a key used just before."""

    async def authenticate(self, authorization: str | None, *, peer: str = "") -> Principal:
        """The principal of a key; raises Unauthenticated or TooManyAttempts."""


class Admitted(Protocol):
    """A request's place within its key's limits."""

    @property
    def headers(self) -> Mapping[str, str]:
        """OpenAI's `x-ratelimit-*` values."""

    def release(self) -> None:
        """Give the place back."""


class Policy(Protocol):
    """What a key may ask for (`policy.enforcement`)."""

    def admit(self, principal: Principal) -> Admitted:
        """Take a place for one request; raises LimitExceeded."""


class TicketOffice(Protocol):
    """Issues the proofs of assignment (`ledger.tickets`)."""

    def issue(self, facts: TicketFacts) -> str:
        """The ticket that goes to the node."""


class Books(Protocol):
    """Where every attempt is booked (`ledger.postings`)."""

    @property
    def is_healthy(self) -> bool:
        """Whether new billable work may be taken."""

    async def post(self, posting: Posting) -> None:
        """Book the console's own count; raises LedgerUnavailable."""


class Client(Protocol):
    """Who gets an answer: one exchange, or a recording that several share."""

    @property
    def is_writable(self) -> bool:
        """Whether more is taken now."""

    @property
    def has_left(self) -> bool:
        """Whether nobody is there any more."""

    def begin(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], length: int | None = None
    ) -> None:
        """Start the answer."""

    def write(self, data: bytes) -> bool:
        """Send a piece of it; False: look at `is_writable` before the next."""

    def finish(self, *, is_good: bool = True) -> None:
        """It is whole; not good: it ended with an error and is not to be repeated."""

    def note_waiting(self, count: int) -> None:
        """Tell how much is kept back."""


class Catalogue(Protocol):
    """The models that a caller may use now (`catalogue.models`)."""

    def listed(self, principal: Principal) -> Mapping[str, object]:
        """The answer to `GET /v1/models`."""

    def described(self, principal: Principal, model: str) -> Mapping[str, object] | None:
        """The answer to `GET /v1/models/{id}`; None: not there for this caller."""

    def near(self, principal: Principal, model: str) -> Sequence[str]:
        """Models whose names are like `model`."""

"""What serving needs of the rooms beside it: session, engine, outbox and clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from byoi_agent.serving.measure import Counter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.clock import Clock
    from byoi_agent.engine.exchange import ExchangeHandler
    from byoi_agent.engine.view import EngineView
    from byoi_wire.ids import ModelId, NodeId, RecordId, StreamId
    from byoi_wire.messages import AnswerHead, ResetCode, Trailer
    from byoi_wire.usage import UsageRecord


class StreamSession(Protocol):
    """The session that a stream belongs to; `byoi_wire.aio.session.Session` is one."""

    def send_head(self, stream: StreamId, head: AnswerHead) -> None: ...  # noqa: D102
    def send(self, stream: StreamId, data: bytes) -> bool: ...  # noqa: D102
    def end(self, stream: StreamId, trailer: Trailer | None = None) -> None: ...  # noqa: D102
    def reset(self, stream: StreamId, code: ResetCode, reason: str = "") -> None: ...  # noqa: D102
    def consumed(self, stream: StreamId, count: int) -> None: ...  # noqa: D102


class Exchange(Protocol):
    """One request at the engine."""

    def pause(self) -> None: ...  # noqa: D102
    def resume(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


class Client(Protocol):
    """How a request gets to the engine; `byoi_agent.engine.client.EngineClient` is one."""

    async def send(  # noqa: D102
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        handler: ExchangeHandler,
    ) -> Exchange: ...


class Kind(Counter, Protocol):
    """What must be known of a kind of engine; see `byoi_agent.engine.kinds.base`."""

    @property
    def extra_fields(self) -> frozenset[str]: ...  # noqa: D102

    def translate_error(  # noqa: D102
        self, status: int, body: bytes, path: str = ""
    ) -> tuple[int, dict[str, Any]]: ...


class Engine(Protocol):
    """One engine and its supervisor."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def view(self) -> EngineView: ...  # noqa: D102
    @property
    def client(self) -> Client: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102

    def suspect(self, reason: str) -> None: ...  # noqa: D102


class Engines(Protocol):
    """All of this node's engines; `byoi_agent.engine.pool.EnginePool` has them."""

    @property
    def view(self) -> EngineView: ...  # noqa: D102
    @property
    def views(self) -> tuple[EngineView, ...]: ...  # noqa: D102
    def engine_for(self, model: ModelId) -> Engine | None: ...  # noqa: D102
    def demand(self, key: str, running: int, waiting: int) -> None: ...  # noqa: D102


class RecordKeeper(Protocol):
    """Where records become durable; `byoi_agent.usage.outbox.Outbox` is one."""

    @property
    def refusal(self) -> str | None: ...  # noqa: D102
    async def commit(self, record: UsageRecord) -> None: ...  # noqa: D102


class Energy(Protocol):
    """What requests take; `byoi_agent.usage.sampling.EnergySampler` measures it."""

    def refusal(self, model: ModelId) -> str | None:
        """Why a request for this model is sent back now; None where it is welcome."""
        ...

    def begin(self, record_id: RecordId, model: ModelId) -> None:
        """A request goes to the engine."""
        ...

    def stop(self, record_id: RecordId) -> None:
        """The engine has nothing more to do for it; no news where it had not begun."""
        ...

    async def end(self, record_id: RecordId) -> float | None:
        """What the request took, in joules; None where it was not measured."""
        ...

    def forget(self, record_id: RecordId) -> float | None:
        """The same at once, less exactly; None as well where it has ended already."""
        ...


class Unmeasured:
    """No energy is measured, and no request refused for it."""

    def refusal(self, model: ModelId) -> str | None: ...  # noqa: D102
    def begin(self, record_id: RecordId, model: ModelId) -> None: ...  # noqa: D102
    def stop(self, record_id: RecordId) -> None: ...  # noqa: D102
    async def end(self, record_id: RecordId) -> float | None: ...  # noqa: D102
    def forget(self, record_id: RecordId) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Surroundings:
    """What all requests of a node share, or all of its owner's (`is_own`).

    `salt_secret` never leaves the node.
    """

    node_id: NodeId
    engine: Engines
    outbox: RecordKeeper
    clock: Clock
    salt_secret: bytes
    energy: Energy = field(default_factory=Unmeasured)
    is_own: bool = False

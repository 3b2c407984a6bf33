"""Everything that is true of this node at one moment, frozen: anybody may hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.link.view import LinkView
from byoi_agent.usage.prices import PriceList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.planning.calibration import Accuracy
    from byoi_agent.telemetry.health import HealthWarning
    from byoi_wire.ids import ModelId, NodeId
    from byoi_wire.offers import Host, Measured


@dataclass(frozen=True)
class Load:
    """Requests in flight: with the engine, and waiting for a slot; `own_` those of the owner."""

    running: int = 0
    waiting: int = 0
    own_running: int = 0
    own_waiting: int = 0


@dataclass(frozen=True)
class OwnApi:
    """The owner's own /v1: where it is, None where it is not open, and what was used of it.

    Counted since the node's start; `joules` of those requests whose energy was measured.
    """

    url: str | None = None
    needs_key: bool = False
    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    joules: float = 0.0


@dataclass(frozen=True)
class NodeView:
    """The node now. `engine` is all of the `engines` as one.

    `offer_version` grows each time the console has to hear of it (`advertise.build`); `slots` and
    `queue` are the owner's limits, None where the engine's own hold. `measured` has what benchmarks
    found, by model and engine with its version; `at_a_loss` are models whose requests would earn
    less than they take, and are sent back; `held` how many of an engine's slots are kept for
    the owner's own requests, by the engine's key; `estimates` how good those of memory were, None
    before the first load.
    """

    node_id: NodeId
    agent_version: str
    host: Host | None = None
    devices: tuple[DeviceReading, ...] = ()
    engine: EngineView | None = None
    engines: tuple[EngineView, ...] = ()
    slots: int | None = None
    queue: int | None = None
    load: Load = field(default_factory=Load)
    link: LinkView = field(default_factory=LinkView)
    availability: AvailabilityView = field(default_factory=AvailabilityView)
    is_draining: bool = False
    warnings: tuple[HealthWarning, ...] = ()
    offer_version: int = 0
    measured: Mapping[tuple[ModelId, str], Measured] = field(default_factory=dict)
    prices: PriceList = field(default_factory=PriceList)
    at_a_loss: frozenset[ModelId] = frozenset()
    held: Mapping[str, int] = field(default_factory=dict)
    own: OwnApi = field(default_factory=OwnApi)
    estimates: Accuracy | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it serves, or would if its owner did not have the machine."""
        return self.is_serving or (self.link.state == "online" and not self.availability.is_serving)

    @property
    def is_serving(self) -> bool:
        """Whether a request that came now would be answered."""
        engine_ready = self.engine is not None and self.engine.state == "ready"
        is_there = self.link.state == "online" and not self.is_draining
        return engine_ready and is_there and self.availability.is_serving

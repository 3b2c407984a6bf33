"""What the control API can be asked: each service is given by the daemon, each route added once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoi_agent.control.routes import (
    availability,
    doctor,
    engine,
    events,
    keys,
    measured,
    metrics,
    node,
    pins,
    reload,
    schedule,
)
from byoi_agent.control.routing import Routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.control.events import Events
    from byoi_agent.control.routes.availability import Switch
    from byoi_agent.control.routes.engine import EngineOrders
    from byoi_agent.control.routes.pins import Consenting
    from byoi_agent.control.routes.schedule import ScheduleKeeper
    from byoi_agent.control.schema import KeyChange, MeasuredOrder, ReloadReport, StatusReport
    from byoi_agent.doctor.finding import Report
    from byoi_agent.usage.report import UsageFilter, UsageReport
    from byoi_wire.messages import Advertise


@dataclass(frozen=True)
class ControlServices:
    """Each answers from the node's own rooms; what is None, the node is not asked."""

    status: Callable[[], Awaitable[StatusReport]]
    offer: Callable[[], Advertise]
    usage: Callable[[UsageFilter], Awaitable[UsageReport]]
    engine: EngineOrders | None = None
    reload: Callable[[], ReloadReport] | None = None
    rotate_key: Callable[[], Awaitable[KeyChange]] | None = None
    metrics: Callable[[], bytes] | None = None
    keep_measured: Callable[[MeasuredOrder], None] | None = None
    availability: Switch | None = None
    schedule: ScheduleKeeper | None = None
    pins: Consenting | None = None
    events: Events | None = None
    doctor: Callable[[], Awaitable[Report]] | None = None


def routes_of(services: ControlServices) -> Routes:
    """All that a node with these services can be asked."""
    routes = Routes()
    node.add(routes, services)
    if services.availability is not None:
        availability.add(routes, services.availability)
    if services.doctor is not None:
        doctor.add(routes, services.doctor)
    if services.schedule is not None:
        schedule.add(routes, services.schedule)
    if services.pins is not None:
        pins.add(routes, services.pins)
    if services.engine is not None:
        engine.add(routes, services.engine)
    if services.keep_measured is not None:
        measured.add(routes, services.keep_measured)
    if services.events is not None:
        events.add(routes, services.events)
    if services.reload is not None:
        reload.add(routes, services.reload)
    if services.rotate_key is not None:
        keys.add(routes, services.rotate_key)
    if services.metrics is not None:
        metrics.add(routes, services.metrics)
    return routes

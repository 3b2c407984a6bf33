"""What the control API can be asked: each service is given by the daemon, each route added once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from byoi_agent.control.routes import (
    availability,
    config,
    doctor,
    engine,
    events,
    keys,
    logs,
    measured,
    metrics,
    models,
    node,
    openapi,
    pins,
    reload,
    schedule,
    session,
    update,
    version,
)
from byoi_agent.control.routing import Routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.control.events import Events
    from byoi_agent.control.key_list import KeyList
    from byoi_agent.control.log_desk import LogDesk
    from byoi_agent.control.models import Models
    from byoi_agent.control.routes.availability import Switch
    from byoi_agent.control.routes.engine import EngineOrders
    from byoi_agent.control.routes.pins import Consenting
    from byoi_agent.control.routes.schedule import ScheduleKeeper
    from byoi_agent.control.routes.session import SessionDesk
    from byoi_agent.control.routes.update import Updating
    from byoi_agent.control.schema import (
        KeyChange,
        MeasuredOrder,
        ReloadReport,
        StatusReport,
        VersionReport,
    )
    from byoi_agent.control.settings_desk import SettingsDesk
    from byoi_agent.doctor.finding import Report
    from byoi_agent.doctor.proof import Proof
    from byoi_agent.usage.report import UsageFilter, UsageReport
    from byoi_wire.messages import Advertise

_Service = TypeVar("_Service")


@dataclass(frozen=True)
class ControlServices:
    """Each answers from the node's own rooms; what is None, the node is not asked."""

    status: Callable[[], Awaitable[StatusReport]]
    offer: Callable[[], Advertise]
    usage: Callable[[UsageFilter], Awaitable[UsageReport]]
    engine: EngineOrders | None = None
    reload: Callable[[], ReloadReport] | None = None
    keys: Callable[[], KeyList] | None = None
    rotate_key: Callable[[], Awaitable[KeyChange]] | None = None
    metrics: Callable[[], bytes] | None = None
    keep_measured: Callable[[MeasuredOrder], None] | None = None
    availability: Switch | None = None
    schedule: ScheduleKeeper | None = None
    sessions: SessionDesk | None = None
    pins: Consenting | None = None
    events: Events | None = None
    doctor: Callable[[], Awaitable[Report]] | None = None
    mend: Callable[[], Awaitable[Report]] | None = None
    prove: Callable[[], Awaitable[Proof]] | None = None
    models: Models | None = None
    config: SettingsDesk | None = None
    logs: LogDesk | None = None
    version: VersionReport | None = None
    update: Updating | None = None


def routes_of(services: ControlServices) -> Routes:
    """All that a node with these services can be asked."""
    routes = Routes()
    node.add(routes, services)
    _add(routes, availability.add, services.availability)
    _add(routes, doctor.add, services.doctor)
    _add(routes, doctor.add_mending, services.mend)
    _add(routes, doctor.add_proof, services.prove)
    _add(routes, schedule.add, services.schedule)
    _add(routes, session.add, services.sessions)
    _add(routes, pins.add, services.pins)
    _add(routes, engine.add, services.engine)
    _add(routes, measured.add, services.keep_measured)
    _add(routes, events.add, services.events)
    _add(routes, reload.add, services.reload)
    _add(routes, keys.add_list, services.keys)
    _add(routes, keys.add, services.rotate_key)
    _add(routes, metrics.add, services.metrics)
    _add(routes, models.add, services.models)
    _add(routes, config.add, services.config)
    _add(routes, logs.add, services.logs)
    _add(routes, version.add, services.version)
    if services.update is not None:
        update.add(routes, services.update, services.status)
    openapi.add(routes)
    return routes


def _add(routes: Routes, add: Callable[[Routes, _Service], None], service: _Service | None) -> None:
    if service is not None:
        add(routes, service)

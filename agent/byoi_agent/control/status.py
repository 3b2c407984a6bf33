"""A node's view in the words of the control API; pure."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict
from typing import TYPE_CHECKING

from byoi_agent.control.schema import (
    AvailabilityStatus,
    DeviceStatus,
    EnginePlace,
    EngineStatus,
    EstimateStatus,
    LinkStatus,
    LogStatus,
    OwnApiStatus,
    StatusReport,
    UpdateStatus,
    UsageSum,
    WarningStatus,
    usage_table,
)
from byoi_agent.node import advertise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.availability.view import AvailabilityView
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.node.view import NodeView
    from byoi_agent.planning.calibration import Accuracy
    from byoi_agent.telemetry.log_place import LogPlace
    from byoi_agent.update.told import Told
    from byoi_agent.usage.report import UsageReport
    from byoi_agent.usage.tally import TallyView


def status_of(
    view: NodeView,
    *,
    console_url: str,
    key_store: str,
    pid: int,
    uptime_seconds: float,
    unacknowledged_records: int,
    key_place: str | None = None,
    tally: TallyView | None = None,
    log: LogPlace | None = None,
    money: UsageReport | None = None,
    update: Told | None = None,
) -> StatusReport:
    """All that `byoi status` shows."""
    return StatusReport(
        node_id=view.node_id,
        agent_version=view.agent_version,
        pid=pid,
        uptime_seconds=uptime_seconds,
        key_store=key_store,
        is_serving=view.is_serving,
        is_draining=view.is_draining,
        running=view.load.running,
        waiting=view.load.waiting,
        slots=advertise.slots_of(view),
        queue=advertise.queue_of(view),
        unacknowledged_records=unacknowledged_records,
        link=link_of(view, console_url),
        engine=engine_of(view),
        engines=tuple(_engine_of(engine) for engine in view.engines),
        host=view.host,
        devices=devices_of(view.devices),
        warnings=tuple(
            WarningStatus(name=warning.name, text=warning.text, mend=warning.mend)
            for warning in view.warnings
        ),
        key_place=key_place,
        tokens_per_second=None if tally is None else round(tally.tokens_per_second, 1),
        today=None if tally is None else UsageSum(**tally.today._asdict()),
        today_balance=None if money is None else usage_table([money]).balance,
        availability=availability_of(view.availability),
        log=None if log is None else _log_of(log),
        own=_own_of(view),
        update=None if update is None else update_of(update),
        estimates=None if view.estimates is None else _estimates_of(view.estimates),
    )


def update_of(told: Told) -> UpdateStatus:
    """What the updater told."""
    facts = {name: getattr(told, name) for name in UpdateStatus.model_fields}
    return UpdateStatus.model_validate(facts)


def _estimates_of(accuracy: Accuracy) -> EstimateStatus:
    return EstimateStatus(
        loads=accuracy.loads, error=accuracy.before, corrected_error=accuracy.after
    )


def _own_of(view: NodeView) -> OwnApiStatus:
    load = view.load
    return OwnApiStatus(running=load.own_running, waiting=load.own_waiting, **asdict(view.own))


def _log_of(log: LogPlace) -> LogStatus:
    file = None if log.file is None else str(log.file)
    return LogStatus(file=file, unit=log.unit, is_users=log.is_users)


def availability_of(view: AvailabilityView) -> AvailabilityStatus:
    """Whether it serves, and why."""
    return AvailabilityStatus.model_validate(dataclasses.asdict(view))


def link_of(view: NodeView, console_url: str) -> LinkStatus:
    """The link's part."""
    link = view.link
    return LinkStatus(
        state=link.state,
        console_url=console_url,
        reason=link.reason,
        epoch=link.epoch,
        connects=link.connects,
        resumes=link.resumes,
        since=link.since,
        last_error=link.last_error,
        next_try_at=link.next_try_at,
    )


def engine_of(view: NodeView) -> EngineStatus | None:
    """All engines as one; None before there is one."""
    return None if view.engine is None else _engine_of(view.engine)


def _engine_of(engine: EngineView) -> EngineStatus:
    times = [model.load_seconds for model in engine.models if model.load_seconds is not None]
    is_one = bool(engine.key)
    return EngineStatus(
        state=engine.state,
        kind=engine.kind,
        version=engine.version,
        pid=engine.pid,
        url=engine.url,
        models=tuple(model.id for model in engine.models),
        slots=engine.slots,
        restarts=engine.restarts,
        reason=engine.reason,
        key=engine.key or None,
        priority=engine.priority if is_one else None,
        memory_bytes=engine.memory_bytes,
        load_seconds=max(times, default=None) if is_one else None,
        used_at=engine.used_at,
        since=engine.since,
    )


def engine_place(view: NodeView) -> EnginePlace | None:
    """Which engine a node uses, for its ready file."""
    if (engine := view.engine) is None:
        return None
    return EnginePlace(kind=engine.kind, pid=engine.pid, url=engine.url)


def devices_of(readings: Iterable[DeviceReading]) -> tuple[DeviceStatus, ...]:
    """The part of each reading that is shown."""
    return tuple(
        DeviceStatus.model_validate(
            {name: getattr(reading, name) for name in DeviceStatus.model_fields}
        )
        for reading in readings
    )

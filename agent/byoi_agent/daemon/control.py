"""What the owner can ask of this node, put together from its rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.dashboard.app import Dashboard
from byoi_agent.control.events import Events
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.daemon.checkup import Checkup
from byoi_agent.lifecycle.schedule_file import ScheduleFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.availability.schedule import ScheduleWatch
    from byoi_agent.config.settings import Settings
    from byoi_agent.control.answers import Answers
    from byoi_agent.control.routes.availability import Switch
    from byoi_agent.control.routes.pins import Consenting
    from byoi_agent.control.routes.session import SessionDesk
    from byoi_agent.control.schema import MeasuredOrder, ReloadReport
    from byoi_agent.engine.pool import EnginePool


def control_of(
    settings: Settings,
    answers: Answers,
    *,
    engine: EnginePool,
    reload: Callable[[], ReloadReport],
    keep_measured: Callable[[MeasuredOrder], None],
    availability: Switch,
    schedule: ScheduleWatch,
    sessions: SessionDesk,
    pins: Consenting,
    config_file: Path | None,
    held: Callable[[], Settings],
) -> ControlServer:
    """The control API of a node with these rooms; each room's own line is all that it needs."""
    events = Events(answers.status, answers.board.subscribe)
    return ControlServer(
        ControlServices(
            status=answers.status,
            offer=lambda: answers.board.offer,
            usage=answers.usage,
            engine=engine,
            reload=reload,
            metrics=answers.metrics,
            rotate_key=answers.rotate_key,
            keep_measured=keep_measured,
            availability=availability,
            schedule=ScheduleFile(config_file, show=lambda: schedule.view, reload=reload),
            pins=pins,
            sessions=sessions,
            events=events,
            doctor=Checkup(answers, held, config_file).report,
        ),
        answers.paths.control_socket,
        settings.control_port,
        settings.metrics_port,
        pages=Dashboard(events),
    )

"""What the owner can ask of this node, put together from its rooms."""

from __future__ import annotations

import asyncio
import importlib
import os
import platform as this_platform
import sys
from typing import TYPE_CHECKING, Final

from byoi_agent.config.loading import LoadedSettings
from byoi_agent.config.paths import system_control_file, system_control_socket
from byoi_agent.config.settings import Settings
from byoi_agent.control.dashboard.app import Dashboard
from byoi_agent.control.events import Events
from byoi_agent.control.feed import Event
from byoi_agent.control.kept_sessions import SessionKeeper
from byoi_agent.control.log_desk import LogDesk
from byoi_agent.control.model_words import pull_of
from byoi_agent.control.models import Models
from byoi_agent.control.schema import VersionReport
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.control.settings_desk import SettingsDesk
from byoi_agent.daemon.checkup import Checkup
from byoi_agent.daemon.proof import Proving
from byoi_agent.lifecycle.schedule_file import ScheduleFile
from byoi_agent.models.pulls import Pulls
from byoi_agent.models.store import Store
from byoi_agent.service.choice import program_of
from byoi_agent.update.asked import UpdatesByOwner
from byoi_wire.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.availability.schedule import ScheduleWatch
    from byoi_agent.config.paths import Paths
    from byoi_agent.control.answers import Answers
    from byoi_agent.control.routes.availability import Switch
    from byoi_agent.control.routes.pins import Consenting
    from byoi_agent.control.routes.session import SessionDesk
    from byoi_agent.control.schema import MeasuredOrder, ReloadReport
    from byoi_agent.doctor.patient import Watch
    from byoi_agent.engine.pool import EnginePool
    from byoi_agent.models.names import Reference
    from byoi_agent.models.pull import Outcome
    from byoi_agent.models.wheels import Progress

GROUP: Final = "byoi"
"""Whose members may use a node that the system runs; anybody else's is its user's alone."""


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
    watch: Callable[[], Watch],
    pins: Consenting,
    config_file: Path | None,
    held: Callable[[], Settings],
    loaded: Callable[[], LoadedSettings] | None,
) -> ControlServer:
    """The control API of a node with these rooms; each room's own line is all that it needs."""
    events = Events(answers.status, answers.board.subscribe)
    pulls = Pulls(
        lambda *asked: _fetch(Store(answers.paths.models_folder), held(), *asked),
        lambda view: events.put(Event("pull", pull_of(view), key=f"pull {view.id}")),
        answers.clock,
    )
    checkup = Checkup(answers, held, config_file, watch)
    return ControlServer(
        ControlServices(
            status=answers.status,
            offer=lambda: answers.board.offer,
            usage=answers.usage,
            engine=engine,
            reload=reload,
            metrics=answers.metrics,
            keys=answers.key_list,
            rotate_key=answers.rotate_key,
            keep_measured=keep_measured,
            availability=availability,
            schedule=ScheduleFile(config_file, show=lambda: schedule.view, reload=reload),
            pins=pins,
            sessions=sessions,
            events=events,
            doctor=checkup.report,
            mend=checkup.mend,
            prove=Proving(answers, engine, held).proof,
            models=Models(
                pulls=pulls,
                engine=engine,
                engines=lambda: engine.views,
                settings=held,
                reload=reload,
                paths=answers.paths,
                config_file=config_file,
            ),
            config=SettingsDesk(loaded or (lambda: _as_given(held())), held, reload, config_file),
            logs=LogDesk(events),
            version=VersionReport(
                agent_version=answers.board.view.agent_version,
                protocol=PROTOCOL_VERSION,
                python=this_platform.python_version(),
            ),
            update=UpdatesByOwner(program_of, os.environ),
        ),
        answers.paths.control_socket,
        settings.control_port,
        settings.metrics_port,
        pages=Dashboard(events),
        group=GROUP if answers.paths.control_socket == system_control_socket() else None,
        keeper=SessionKeeper(answers.paths.browsers_file, answers.clock.wall),
    )


def shared_words(paths: Paths, platform: str = sys.platform) -> tuple[Path, ...]:
    """Where the system's node leaves word for its group besides its own folder: see `instances`."""
    is_shared = platform == "win32" and paths.control_socket == system_control_socket()
    return (system_control_file(),) if is_shared else ()


async def _fetch(
    store: Store,
    settings: Settings,
    reference: Reference,
    file: str | None,
    is_pinned: bool,
    report: Callable[[Progress], None],
) -> Outcome:
    """One pull; the hub's library is large, and comes without holding up anybody."""
    await asyncio.to_thread(importlib.import_module, "byoi_agent.models.terms")
    from byoi_agent.models.pull import pull  # noqa: PLC0415 see above
    from byoi_agent.models.terms import terms_of  # noqa: PLC0415

    terms = await asyncio.to_thread(terms_of, settings, store)
    return await pull(reference, store, terms, report, file=file, is_pinned=is_pinned)


def _as_given(settings: Settings) -> LoadedSettings:
    """Of a node that was not started by the command line."""
    return LoadedSettings(settings, dict.fromkeys(Settings.model_fields, "default"))

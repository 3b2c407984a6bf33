"""What makes the machine its owner's: the rooms that decide whether it serves, and those that act.

Each has one line in `Owners.__init__`, and one in `Owners.run` where it runs by itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from byoi_agent.availability.kept import KeptWishes
from byoi_agent.availability.pins import PinKeeper
from byoi_agent.availability.schedule import ScheduleWatch
from byoi_agent.availability.sensors.choice import (
    machine_sensors,
    programs_sensor,
    session_sensors,
    this_user,
)
from byoi_agent.availability.sensors.foreign_gpu import ForeignGpu
from byoi_agent.availability.session import SessionWatch
from byoi_agent.availability.surroundings import MachineWatch
from byoi_agent.availability.watcher import Watcher
from byoi_agent.daemon.engine_notes import our_processes, tell_of_memory
from byoi_agent.daemon.local_api import LocalApi
from byoi_agent.doctor.patient import Watch
from byoi_agent.errors import IdentityError
from byoi_agent.hardware.power_limit import PowerLimits
from byoi_agent.identity.record import read_record
from byoi_agent.lifecycle.kept_reclaims import KeptReclaims
from byoi_agent.lifecycle.lending import Lending
from byoi_agent.lifecycle.power import PowerKeeper
from byoi_agent.lifecycle.reclaim import Reclaimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.availability.consents import Pin
    from byoi_agent.clock import Clock
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.engine.pool import EnginePool
    from byoi_agent.hardware.watch import HardwareView
    from byoi_agent.identity.record import EnrolmentRecord
    from byoi_agent.link.supervisor import LinkSupervisor
    from byoi_agent.node.board import Board
    from byoi_agent.serving.dispatcher import Dispatcher
    from byoi_agent.telemetry.health import Health
    from byoi_agent.usage.sampling import EnergySampler


class Owners:
    """Builds and runs what makes the machine its owner's."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        board: Board,
        engine: EnginePool,
        dispatcher: Dispatcher,
        link: LinkSupervisor,
        health: Health,
        clock: Clock,
        energy: EnergySampler,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        record = _record(paths)
        self.kept = KeptWishes(paths.availability_file, health, clock.wall())
        self.availability = Watcher(
            settings,
            enrolled=None if record is None else record.mode,
            kept=self.kept,
            clock=clock,
            publish=lambda view: board.update(availability=view),
        )
        self.pins = PinKeeper(
            paths.pins_file,
            setting=settings.dedicated_to,
            enrolment="" if record is None else f"{record.node_id} at {record.origin}",
            send=link.send,
            dedicate=self._dedicate,
            health=health,
            wall=clock.wall,
        )
        link.hear_pins(self.pins.heard)
        self.sessions = SessionWatch(
            session_sensors(os.environ),
            this_user(),
            session=self.availability.session,
            gone=self.availability.session_gone,
        )
        self.surroundings = MachineWatch(
            machine_sensors(os.environ), programs_sensor(), machine=self.availability.machine
        )
        self.surroundings.take(settings.idle)
        self._changed = asyncio.Event()
        board.subscribe(lambda _view: self._changed.set())
        self.schedule = ScheduleWatch(
            settings.schedule,
            tell=self.availability.calendar,
            health=health,
            clock=clock,
            ca_file=settings.ca_file,
        )
        limits = PowerLimits(paths.power_limits_file)
        self.power = PowerKeeper(settings.protect.power_limit_watts, limits, health)
        board.subscribe(self.power.look)

        self.local = LocalApi(
            settings,
            dispatcher=dispatcher,
            board=board,
            health=health,
            around=dispatcher.around,
            energy=energy,
        )
        self.foreign_gpu = ForeignGpu(
            self.availability.foreign,
            is_wanted=lambda: self._heeds_people() and self._settings.idle.foreign_gpu == "on",
            is_serving=lambda: board.view.availability.is_serving,
            clock=clock,
            health=health,
            roots=lambda: our_processes(engine.entries),
        )
        self._tell_of_memory: Callable[[], None] = lambda: tell_of_memory(
            health, board, engine.entries
        )
        self.reclaim = Reclaimer(
            board=board,
            door=dispatcher,
            engines=Lending(engine, board),
            uses=self.foreign_gpu.uses,
            caused_seconds_ago=self.availability.caused_seconds_ago,
            kept=KeptReclaims(paths.reclaims_file),
            told=self.availability.reclaimed,
            health=health,
            clock=clock,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.reclaim.run(), name="reclaim")
            tasks.create_task(self.foreign_gpu.run(), name="programs on GPUs")
            tasks.create_task(self.availability.run(), name="availability")
            tasks.create_task(self._heed(), name="whether people are heeded")
            tasks.create_task(self.sessions.run(), name="people's sessions")
            tasks.create_task(self.surroundings.run(), name="machine's surroundings")
            tasks.create_task(self.local.run(), name="local /v1")
            tasks.create_task(self.schedule.run(), name="schedule")
            tasks.create_task(self.power.run(), name="power limit")

    def take(self, settings: Settings) -> None:
        """Other settings hold from now on."""
        self._settings = settings
        self.availability.take(settings)
        self.surroundings.take(settings.idle)
        self.pins.take(settings.dedicated_to)
        self.local.take(settings)
        self.schedule.take(settings.schedule)
        self.power.take(settings.protect.power_limit_watts)

    def watch(self) -> Watch:
        """How people at the machine are seen, and what cannot be."""
        return Watch(self.sessions.answering, self.sessions.troubles, self.surroundings.troubles)

    def hardware_read(self, view: HardwareView) -> None:
        """One look at the machine."""
        self.availability.hardware(view.devices, view.host.disk_free_bytes)
        self._tell_of_memory()

    def _dedicate(self, pin: Pin | None) -> None:
        """What runs for others ends as it would: only what is new is refused."""
        self.availability.pin(None if pin is None else pin.organisation)
        self._dispatcher.dedicate(None if pin is None else pin.org_id)

    def _heeds_people(self) -> bool:
        """Whether it matters who is there and what runs: not where the node serves all the same."""
        view = self.availability.view
        return view.mode != "dedicated" and view.pinned_to is None

    async def _heed(self) -> None:
        """Have sensors look, as long as it matters; not within the board's own telling."""
        while True:
            self._changed.clear()
            is_wanted = self._heeds_people()
            self.sessions.heed(is_wanted=is_wanted)
            self.surroundings.heed(is_wanted=is_wanted)
            await self._changed.wait()


def _record(paths: Paths) -> EnrolmentRecord | None:
    try:
        return read_record(paths.identity_file)
    except IdentityError:  # whoever reads the key tells of it
        return None

"""Watches what holds for the whole machine: mains, network, and the owner's list of programs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from byoi_agent.availability.asking import ask_again_and_again
from byoi_agent.availability.readings import MachineReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from byoi_agent.availability.sensors.choice import MachineSensor
    from byoi_agent.availability.sensors.programs import ProgramsSensor
    from byoi_agent.config.availability import Idle


class MachineWatch:
    """Sole owner of the machine's sensors while it runs; `machine` hears what has changed."""

    def __init__(
        self,
        sensors: Sequence[MachineSensor],
        programs: ProgramsSensor,
        *,
        machine: Callable[[MachineReading], None],
    ) -> None:
        self._programs = programs
        self._sensors: list[MachineSensor] = [*sensors, programs]
        self._machine = machine
        self._told: dict[str, MachineReading] = {}
        self._published = MachineReading()
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def troubles(self) -> dict[str, str]:
        """What cannot be asked here, with why; by sensor."""
        return {one.name: one.trouble for one in self._sensors if one.trouble is not None}

    def take(self, idle: Idle) -> None:
        """The owner's lists of programs, from now on."""
        self._programs.look_for(idle.programs, idle.ignored_programs)

    def heed(self, *, is_wanted: bool) -> None:
        """Look at the machine, or leave it alone: what was seen is forgotten then."""
        if is_wanted:
            self._wanted.set()
        elif self._wanted.is_set():
            self._wanted.clear()
            self._told.clear()
            self._tell(MachineReading())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for sensor in self._sensors:
                take = partial(self._heard, sensor.name)
                asking = ask_again_and_again(sensor, take, self._wanted)
                tasks.create_task(asking, name=f"sensor {sensor.name}")

    def _heard(self, source: str, reading: MachineReading | None) -> None:
        if not self._wanted.is_set():
            return
        self._told[source] = reading or MachineReading()
        told = (self._told[one.name] for one in self._sensors if one.name in self._told)
        self._tell(together(told))

    def _tell(self, now: MachineReading) -> None:
        if now != self._published:
            self._published = now
            self._machine(now)


def together(readings: Iterable[MachineReading]) -> MachineReading:
    """Of what several sources say: the first that knows of each thing."""
    told = list(readings)
    return MachineReading(
        on_battery=next((one.on_battery for one in told if one.on_battery is not None), None),
        is_metered=next((one.is_metered for one in told if one.is_metered is not None), None),
        programs=tuple(dict.fromkeys(name for one in told for name in one.programs)),
    )

from __future__ import annotations

import asyncio

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.programs import Processes, ProgramsSensor
from byoi_agent.availability.surroundings import MachineWatch, together
from byoi_agent.config.availability import Idle


class _Sensor:
    every_seconds = 3600.0

    def __init__(self, name, said):
        self.name = name
        self.said = said
        self.trouble = None if said else "not here"

    def on_change(self, tell):
        self.tell = tell

    async def read(self):
        return self.said

    async def close(self):
        pass


async def test_what_has_changed_is_told_once():
    told = []
    power = _Sensor("upower", MachineReading(on_battery=False))
    programs = ProgramsSensor(Processes(lambda: [7], {7: "blender"}.get))
    watch = MachineWatch([power, _Sensor("net", None)], programs, machine=told.append)

    async def wait_for(count):
        async with asyncio.timeout(60):
            while len(told) < count:
                await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        await wait_for(1)
        power.tell()
        watch.take(Idle(programs=("Blender*",)))
        await wait_for(2)
        power.said = MachineReading(on_battery=True)
        power.tell()
        await wait_for(3)
        running.cancel()
    assert told == [
        MachineReading(on_battery=False),
        MachineReading(on_battery=False, programs=("blender",)),
        MachineReading(on_battery=True, programs=("blender",)),
    ]
    assert watch.troubles == {"net": "not here"}


def test_the_first_that_knows_is_believed():
    assert together(
        [
            MachineReading(is_metered=True),
            MachineReading(on_battery=True, programs=("a", "b")),
            MachineReading(on_battery=False, is_metered=False, programs=("b",)),
        ]
    ) == MachineReading(on_battery=True, is_metered=True, programs=("a", "b"))


async def test_a_machine_that_is_left_alone_is_forgotten():
    told = []
    watch = MachineWatch([_Sensor("upower", None)], ProgramsSensor(), machine=told.append)
    watch._heard("upower", MachineReading(on_battery=True))
    watch.heed(is_wanted=False)
    assert told == [MachineReading(on_battery=True), MachineReading()]
    watch._heard("upower", MachineReading(on_battery=True))  # an answer that was under way
    assert len(told) == 2
    watch.heed(is_wanted=True)
    watch._heard("upower", MachineReading(on_battery=True))
    assert told[-1].on_battery

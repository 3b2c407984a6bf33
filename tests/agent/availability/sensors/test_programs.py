from __future__ import annotations

import asyncio
import os

import pytest

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.programs import Names, Processes, ProgramsSensor


class _Machine:
    def __init__(self):
        self.now = 100.0
        self.running = {1: "init", 2: "bash"}
        self.asked = []
        self.processes = Processes(lambda: list(self.running), self._name, lambda: self.now)

    def _name(self, pid):
        self.asked.append(pid)
        return self.running.get(pid)


@pytest.fixture
def machine():
    return _Machine()


@pytest.mark.parametrize(
    ("pattern", "name", "is_on_it"),
    [
        ("blender", "Blender", True),
        ("blender", "blender.exe", True),
        ("Game-*", "game-win64-shipping.exe", True),
        ("steam", "steamwebhelper", False),
        ("?lay", "play", True),
        ("a.b", "aXb", False),
    ],
)
def test_a_list_takes_wildcards_and_any_case(pattern, name, is_on_it):
    assert (name in Names([pattern])) is is_on_it


def test_an_empty_list_has_nothing_on_it():
    assert "x" not in Names(())
    assert not Names(())
    assert 7 not in Names(["*"])


def test_a_process_is_asked_for_its_name_only_while_it_may_change(machine):
    assert machine.processes.names() == {"init", "bash"}
    machine.now += 1
    machine.processes.names()
    assert machine.asked == [1, 2]
    machine.running[3] = "sh"
    assert "sh" in machine.processes.names()
    machine.running[3] = "blender"
    machine.now += 1
    assert "blender" in machine.processes.names()
    assert machine.asked == [1, 2, 3, 3]
    del machine.running[3]
    assert "blender" not in machine.processes.names()


def test_a_number_given_again_is_noticed_in_time(machine):
    machine.processes.names()
    machine.running[2] = "blender"
    machine.now += 16
    assert machine.processes.names() == {"init", "blender"}


async def test_those_of_the_list_are_found(machine, using):
    sensor = using(ProgramsSensor(machine.processes))
    told = asyncio.Event()
    sensor.on_change(told.set)
    assert await sensor.read() == MachineReading()
    assert machine.asked == []
    assert sensor.every_seconds > 10
    sensor.look_for(["b*", "INIT"], ["bash"])
    assert told.is_set()
    assert sensor.every_seconds < 1
    assert await sensor.read() == MachineReading(programs=("init",))


async def test_processes_that_cannot_be_listed_are_no_answer(using):
    def fail():
        raise PermissionError("no /proc here")

    sensor = using(ProgramsSensor(Processes(fail)))
    sensor.look_for(["x"], [])
    assert await sensor.read() is None
    assert "no /proc here" in sensor.trouble


async def test_this_very_process_is_found(using):
    sensor = using(ProgramsSensor())
    sensor.look_for(["py*"], [])
    assert (await sensor.read()).programs
    assert os.getpid()

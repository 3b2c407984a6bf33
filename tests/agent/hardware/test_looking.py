from __future__ import annotations

import asyncio
import threading

from byoi_agent.hardware import looking
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.looking import Looking


async def test_who_asks_during_a_look_waits_for_that_one():
    release, looks = threading.Event(), []

    def look():
        looks.append(1)
        release.wait(60)
        return ProbeReading()

    thread = Looking("the driver", look, mend="restart")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(thread.read())
        second = tasks.create_task(thread.read())
        tasks.create_task(asyncio.to_thread(release.set))
    assert first.result().problem is None
    assert second.result() is first.result()
    assert len(looks) == 1


def test_a_hung_look_is_told_at_once_to_the_next_who_asks(monkeypatch):
    release = threading.Event()

    def look():
        release.wait(60)
        return ProbeReading()

    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.01)
    thread = Looking("the driver", look, mend="restart")
    hung = thread.now()
    assert (hung.problem, hung.mend) == ("the driver has not answered for 0 s", "restart")
    monkeypatch.setattr(looking, "LOOK_SECONDS", 60.0)
    assert thread.now().problem is not None
    release.set()
    thread._pending.result(60)
    assert thread.now().problem is None


def test_devices_of_a_driver_that_hangs_or_fails_are_lost_until_it_answers(monkeypatch):
    card = DeviceReading(3, "amd", "MI300X", uuid="u", memory_total_bytes=1, power_watts=9.0)
    release, faults = threading.Event(), []

    def look():
        release.wait(60)
        if faults:
            raise faults.pop()
        return ProbeReading((card,))

    release.set()
    thread = Looking("the driver", look, mend="restart")
    assert thread.now().devices == (card,)
    faults.append(OSError("gone"))
    (lost,) = thread.now().lost
    assert (lost.index, lost.name, lost.uuid, lost.memory_total_bytes) == (3, "MI300X", "u", None)
    assert lost.problem == "the driver cannot be read: gone"
    release.clear()
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.01)
    assert [one.index for one in thread.now().lost] == [3]
    monkeypatch.setattr(looking, "LOOK_SECONDS", 60.0)
    release.set()
    thread._pending.result(60)
    assert (thread.now().devices, thread.now().lost) == ((card,), ())


async def test_a_fault_of_a_driver_is_in_the_reading():
    def look():
        raise OSError(5, "Input/output error")

    reading = await Looking("the driver", look, mend="restart").read()
    assert reading.problem == "the driver cannot be read: [Errno 5] Input/output error"
    assert reading.mend == "restart"


async def test_a_reader_that_is_cancelled_leaves_the_look_to_others():
    release = threading.Event()

    def look():
        release.wait(60)
        return ProbeReading(mend="seen")

    thread = Looking("the driver", look, mend="restart")
    reader = asyncio.get_running_loop().create_task(thread.read())
    while thread._pending is None:
        await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait({reader})
    release.set()
    assert (await thread.read()).mend == "seen"

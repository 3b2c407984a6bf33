from __future__ import annotations

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.doctor import fitting
from byoi_agent.doctor.patient import RunningNode
from byoi_agent.engine.estimate import Reckoning
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.host import MemoryUse

GIB = 2**30


@pytest.fixture
def takes(monkeypatch):
    """What the model will take, and what memory the machine has."""

    def set_up(gib, *, total=16, free=16, is_on_devices=False):
        found = Reckoning("smol", "Q4", 2048, 4, gib * GIB, is_on_devices)
        memory = MemoryUse(total * GIB, (total - free) * GIB, free * GIB)
        monkeypatch.setattr(fitting, "reckon", lambda *_: found)
        monkeypatch.setattr(fitting, "read_memory", lambda: memory)

    return set_up


@pytest.mark.parametrize(("gib", "state"), [(4, "ok"), (12, "warn"), (20, "fail")])
async def test_a_model_that_will_not_fit_is_told_before_its_start(well, takes, gib, state):
    takes(gib, total=16, free=8)
    (found,) = await fitting.check(well())
    assert (found.name, found.state) == ("fit", state)
    assert f"smol takes about {gib}.0 GiB of memory" in found.text
    assert ("byoi plan serve smol" in (found.mend or "")) is (state != "ok")


async def test_of_a_running_node_the_model_may_lie_in_memory_already(well, takes):
    takes(12, total=16, free=1)
    node = RunningNode(link_state="online")
    assert [each.state for each in await fitting.check(well(node=node))] == ["ok"]


async def test_accelerators_count_where_it_lies_there(well, probe, takes):
    card = DeviceReading(
        index=0, kind="nvidia", name="X", memory_total_bytes=24 * GIB, memory_used_bytes=20 * GIB
    )
    probe.reading = ProbeReading((card,))
    takes(12, is_on_devices=True)
    (found,) = await fitting.check(well())
    assert found.state == "warn"
    assert "4.0 GiB are free" in found.text


async def test_what_is_not_here_yet_cannot_be_told(well):
    assert [each.state for each in await fitting.check(well())] == ["skipped"]


@pytest.mark.parametrize(
    "settings", [Settings(engine="http://127.0.0.1:1/v1"), Settings(model="no-such-model")]
)
async def test_others_servers_and_models_that_are_none_are_not_reckoned(well, settings):
    assert await fitting.check(well(settings=settings)) == []

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from byoi_agent.doctor import hardware
from byoi_agent.doctor.patient import RunningNode
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

CARD = DeviceReading(index=0, kind="nvidia", name="NVIDIA H100")


@pytest.fixture
def no_cards(monkeypatch):
    monkeypatch.setattr(hardware, "cards", dict)


@pytest.mark.usefixtures("no_cards")
async def test_a_machine_without_accelerators_computes_on_its_processor(well, told):
    found = told(await hardware.check(well()))
    assert found["driver"].state == "ok"
    assert "processor" in found["driver"].text
    assert "account" not in found


@pytest.mark.usefixtures("no_cards")
async def test_a_driver_s_problem_is_told_with_its_mend(well, told, probe):
    probe.reading = ProbeReading((), "the driver does not answer", "restart the machine")
    found = told(await hardware.check(well()))["driver"]
    assert (found.state, found.text, found.mend) == (
        "fail",
        "the driver does not answer",
        "restart the machine",
    )


@pytest.mark.usefixtures("no_cards")
async def test_a_card_that_is_lost_is_told_beside_those_that_are_well(well, probe):
    lost = replace(CARD, index=1).silent("fell off the bus")
    probe.reading = ProbeReading((CARD,), None, "", (lost,))
    found = [one for one in await hardware.check(well()) if one.name == "driver"]
    assert [one.state for one in found] == ["fail", "ok"]
    assert "fell off the bus" in found[0].text


async def test_a_card_without_a_driver_is_found_on_the_bus(well, told, tmp_path, monkeypatch):
    for slot, maker, kind in (("a", "0x10de", "0x030000"), ("b", "0x10de", "0x0c0330")):
        (tmp_path / "bus" / slot).mkdir(parents=True)
        (tmp_path / "bus" / slot / "vendor").write_text(f"{maker}\n")
        (tmp_path / "bus" / slot / "class").write_text(f"{kind}\n")
    found = hardware.cards(tmp_path / "bus")
    assert found == {"NVIDIA": 1}
    monkeypatch.setattr(hardware, "cards", lambda: found)
    monkeypatch.setattr(hardware, "in_container", lambda: False)
    told_of = told(await hardware.check(well()))["driver"]
    assert told_of.state == "fail"
    assert "nvidia-smi" in told_of.mend


@pytest.mark.usefixtures("no_cards")
@pytest.mark.parametrize(("sees", "state"), [(0, "fail"), (1, "ok")])
async def test_whether_the_node_s_account_sees_what_this_one_sees(well, told, probe, sees, state):
    probe.reading = ProbeReading((CARD,))
    patient = well(node=RunningNode("online", accelerators=sees))
    found = told(await hardware.check(patient))["account"]
    assert found.state == state
    assert (found.mend is not None) is (state == "fail")


@pytest.mark.usefixtures("no_cards")
async def test_little_memory_is_a_warning(well, told, monkeypatch):
    use = type("Use", (), {"total_bytes": 8 * 2**30, "free_bytes": 2**28})
    monkeypatch.setattr(hardware, "read_memory", lambda: use)
    assert told(await hardware.check(well()))["memory"].state == "warn"


@pytest.mark.usefixtures("no_cards")
async def test_a_driver_that_this_account_may_not_open_is_told(well, told, monkeypatch):
    shut = Path("/dev/kfd")
    monkeypatch.setattr(hardware, "closed", lambda: [shut])
    found = told(await hardware.check(well()))["permission"]
    assert found.state == "fail"
    assert "/dev/kfd" in found.text
    assert "video,render" in found.mend


def test_devices_for_computing_are_asked_and_no_others(tmp_path, monkeypatch):
    for name in ("nvidia0", "nvidiactl", "kfd", "nvidia-modeset", "sda"):
        (tmp_path / name).touch()
    monkeypatch.setattr(hardware.os, "access", lambda path, _mode: path.name == "nvidiactl")
    assert [path.name for path in hardware.closed(tmp_path)] == ["kfd", "nvidia0"]


async def test_in_a_container_a_card_is_given_and_no_driver_installed(well, told, monkeypatch):
    monkeypatch.setattr(hardware, "cards", lambda: {"NVIDIA": 1})
    monkeypatch.setattr(hardware, "in_container", lambda: True)
    assert "--gpus" in told(await hardware.check(well()))["driver"].mend

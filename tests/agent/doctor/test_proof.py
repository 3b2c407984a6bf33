from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.availability.sensors.choice import this_user
from byoi_agent.doctor import hardware
from byoi_agent.doctor.patient import RunningNode
from byoi_agent.doctor.proof import Answered, Unanswered, compared, prove
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

CARD = DeviceReading(index=0, kind="nvidia", name="NVIDIA H100")


@pytest.fixture(autouse=True)
def no_cards(monkeypatch):
    monkeypatch.setattr(hardware, "cards", dict)
    monkeypatch.setattr(hardware, "closed", list)


async def answered():
    return Answered("smol", "llamacpp 1", 0.25)


async def never():
    raise AssertionError("nobody asks an engine where the cards are not seen")


async def test_what_is_seen_and_what_answered_are_one_sentence(well, probe):
    probe.reading = ProbeReading((CARD,))
    proof = await prove(well(), answered, "byoi")
    assert proof.is_proven
    assert proof.accelerators == ("NVIDIA H100",)
    assert proof.sentence == ("byoi computes on NVIDIA H100: smol answered in 0.25 s (llamacpp 1)")


async def test_a_machine_without_a_card_is_proven_on_its_processor(well):
    proof = await prove(well(), answered)
    assert (proof.is_proven, proof.account, proof.accelerators) == (True, this_user(), ())
    assert "the processor (no accelerator)" in proof.sentence


async def test_a_driver_that_fails_is_missing_before_any_engine_is_asked(well, probe):
    probe.reading = ProbeReading((), "the driver does not answer", "restart the machine")
    proof = await prove(well(), never, "byoi")
    assert not proof.is_proven
    assert proof.sentence == (
        "byoi cannot serve yet: the driver does not answer; restart the machine"
    )


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        (Unanswered("no room", "byoi models rm"), "byoi cannot serve yet: no room; byoi models rm"),
        (Unanswered("it starts", is_pending=True), "byoi cannot serve yet: it starts"),
        (Unanswered("paused by you", is_held=True), "byoi was not asked: paused by you"),
    ],
)
async def test_why_there_is_no_answer(well, why, sentence):
    async def silent():
        return why

    proof = await prove(well(), silent, "byoi")
    assert (proof.is_proven, proof.sentence) == (False, sentence)
    assert (proof.is_pending, proof.is_held) == (why.is_pending, why.is_held)


async def test_a_card_that_only_the_person_sees_is_missing(well, probe):
    probe.reading = ProbeReading((CARD,))
    proof = await prove(well(), answered, "byoi")
    node = RunningNode(link_state="online", accelerators=1)
    assert compared(proof, well(node=node), probe.reading) == proof
    blind = compared(proof, well(node=replace(node, accelerators=0)), probe.reading)
    assert not blind.is_proven
    assert blind.missing == "sees 0 of 1 accelerators"
    assert "video" in blind.mend

"""A proven link against nodes that talk without end."""

from __future__ import annotations

import asyncio

import pytest

from byoi_console.nodes import limits, link
from byoi_wire.messages import Advertise, Availability, Ping, Renew, Status, UsageBatch
from byoi_wire.offers import Host

NOTHING = Advertise(version=1, agent_version="t", host=Host(os="linux", architecture="x"), slots=0)


@pytest.mark.parametrize(
    ("said", "times"),
    [
        (lambda _: Status(running=0, waiting=0), limits.PER_MINUTE["status"]),
        (lambda _: NOTHING, limits.PER_MINUTE["advertise"] - 1),
        (lambda n: Renew(seq=n), limits.PER_MINUTE["renew"]),
        (lambda _: Availability(serving=True), limits.PER_MINUTE["availability"]),
        (lambda n: Ping(seq=n), limits.IN_ALL_PER_MINUTE - 1),
    ],
    ids=["status", "advertise", "renew", "availability", "ping"],
)
async def test_a_node_that_talks_without_end_loses_that_link_alone(house, said, times, monkeypatch):
    honest, machine = await house.come_in(), await house.come_in()
    # Time stands still: nothing is refilled however slow this machine is.
    live = house.sessions._live[machine.enrolled.node_id]
    assert live.connection is not None
    monkeypatch.setattr(live.connection._on_text.__self__, "_monotonic", lambda: 0.0)
    for number in range(times):
        machine.say(said(number))
    await asyncio.sleep(0)
    assert not machine.closed.done()
    machine.say(said(times))
    code, reason = await machine.end()
    assert code == limits.CLOSE_CODE
    assert reason.startswith("too many")
    assert not honest.closed.done()


async def test_a_flood_of_usage_ends_the_link(house, monkeypatch):
    machine = await house.come_in()
    never = asyncio.Event()
    monkeypatch.setattr(house.door, "book", lambda *_: never.wait())
    for _ in range(link.BATCHES_WAITING + 2):
        machine.say(UsageBatch(records=()))
    assert (await machine.end())[0] == 1013

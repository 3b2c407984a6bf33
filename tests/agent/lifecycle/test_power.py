from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.hardware.power_limit import LimitOutcome
from byoi_agent.lifecycle import power
from byoi_agent.lifecycle.power import PowerKeeper
from byoi_agent.node.view import Load, NodeView
from byoi_agent.telemetry.health import Health

SERVING = NodeView(node_id="n", agent_version="0")
PAUSED = replace(SERVING, availability=AvailabilityView(state="yield"))


class Limits:
    """Takes each wish, as soon as it may."""

    def __init__(self, outcome=LimitOutcome()):  # noqa: B008
        self.outcome = outcome
        self.given = []
        self.may = threading.Event()
        self.may.set()

    def give(self, watts):
        assert self.may.wait(60)
        self.given.append(watts)
        return self.outcome


class Keeping:
    """A keeper that runs."""

    def __init__(self, watts, limits):
        self.health = Health()
        self.limits = limits
        self.keeper = PowerKeeper(watts, limits, self.health)

    async def __aenter__(self):
        self._task = asyncio.create_task(self.keeper.run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task

    async def until(self, *given):
        async with asyncio.timeout(60):
            while tuple(self.limits.given) != given:
                await asyncio.sleep(0.001)


async def test_the_limit_holds_while_the_node_serves_and_the_former_one_is_back_at_its_end():
    limits = Limits()
    async with Keeping(300, limits) as keeping:
        await keeping.until(None)  # what a crash may have left
        keeping.keeper.look(SERVING)
        await keeping.until(None, 300)
        keeping.keeper.look(replace(PAUSED, load=Load(running=1)))  # it ends what runs
        keeping.keeper.look(PAUSED)
        await keeping.until(None, 300, None)
        keeping.keeper.look(SERVING)
        await keeping.until(None, 300, None, 300)
    assert limits.given[-1] is None


async def test_the_owner_may_wish_another_limit_and_none():
    async with Keeping(None, Limits()) as keeping:
        keeping.keeper.look(SERVING)
        await keeping.until(None)
        keeping.keeper.take(250)
        await keeping.until(None, 250)
        keeping.keeper.take(250)
        keeping.keeper.take(None)
        await keeping.until(None, 250, None)


async def test_what_cannot_be_given_is_a_warning_with_the_command():
    problem = LimitOutcome(("GPU 0: no permission",), ("sudo nvidia-smi -i 0 -pl 300",))
    async with Keeping(300, Limits(problem)) as keeping:
        keeping.keeper.look(SERVING)
        await keeping.until(300)
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while not keeping.health.warnings:
                await asyncio.sleep(0.001)
        (warning,) = keeping.health.warnings
        assert warning.text == "the power limit cannot be given: GPU 0: no permission"
        assert warning.mend == "sudo nvidia-smi -i 0 -pl 300"
        keeping.limits.outcome = LimitOutcome(("GPU 0: it takes 200 to 700 W",))
        keeping.keeper.take(100)
        async with asyncio.timeout(60):
            while keeping.health.warnings == (warning,):
                await asyncio.sleep(0.001)
        assert keeping.health.warnings[0].mend.startswith("change power_limit_watts")
        keeping.limits.outcome = LimitOutcome()
        keeping.keeper.take(300)
        async with asyncio.timeout(60):
            while keeping.health.warnings:
                await asyncio.sleep(0.001)


async def test_it_is_given_again_and_again(monkeypatch):
    monkeypatch.setattr(power, "LOOK_SECONDS", 0.01)
    async with Keeping(300, Limits()) as keeping:
        keeping.keeper.look(SERVING)
        async with asyncio.timeout(60):
            while len(keeping.limits.given) < 3:
                await asyncio.sleep(0.001)
    assert set(keeping.limits.given[:3]) == {300}


async def test_a_driver_that_hangs_holds_the_end_no_longer_than_it_may(monkeypatch):
    monkeypatch.setattr(power, "CALL_SECONDS", 0.05)
    limits = Limits()
    limits.may.clear()
    async with Keeping(300, limits) as keeping:
        keeping.keeper.look(SERVING)
        await asyncio.sleep(0)
    assert limits.given == []
    limits.may.set()

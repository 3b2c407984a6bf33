from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import IdentityError, LinkError
from byoi_agent.identity.keys import Identity
from byoi_agent.link import keys as module
from byoi_agent.link.keys import NodeKeys
from byoi_agent.telemetry.health import Health
from byoi_wire.usage import UsageRecord, open_record

KEY = Ed25519PrivateKey.generate()
PRESENT = Identity(
    node_id="n",
    key_id="k1",
    key=KEY,
    console_key=KEY.public_key(),
    console_key_id="c",
    origin="https://c",
    console_url="https://c",
    key_store="keyring",
)
NEXT = replace(PRESENT, key_id="k2", key=Ed25519PrivateKey.generate(), key_store="file")
RECORD = UsageRecord(
    request_id="r",
    attempt=1,
    ticket="t",
    node_id="n",
    model="m",
    route="/v1/x",
    outcome="complete",
    status=200,
    usage={},
    counted_by="none",
    started_at_ms=0,
    duration_ms=0,
)


class Rotation:
    def __init__(self):
        self.done = []
        self.problems = {}
        self.is_unfinished = False
        self.following = [NEXT, replace(NEXT, key_id="k3")]

    def fail(self, step, *errors):
        self.problems[step] = list(errors)

    def note(self, step, *of):
        self.done.append((step, *(each.key_id for each in of)))
        if self.problems.get(step):
            raise self.problems[step].pop(0)

    async def begin(self, present):
        self.note("begin")
        return self.is_unfinished

    async def prepare(self, present):
        self.note("prepare", present)
        return self.following.pop(0)

    async def settle(self, successor):
        self.note("settle", successor)

    async def drop(self, successor):
        self.note("drop", successor)

    def close(self):
        self.done.append(("close",))


class Link:
    """Comes back as it is told to: welcomed, refused, or not at all."""

    def __init__(self, keys, outcome="proven"):
        self.keys = keys
        self.outcome = outcome

    def succeed(self, successor):
        if self.outcome is not None:
            asyncio.get_running_loop().call_soon(getattr(self.keys, self.outcome), successor)


@pytest.fixture
def rotation():
    return Rotation()


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def keys(rotation, health):
    made = NodeKeys(PRESENT, rotation, health)
    made.connect_with(Link(made))
    return made


@pytest.fixture
async def running(keys):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keys.run())
        yield keys
        task.cancel()


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


def names(health):
    return [warning.name for warning in health.warnings]


async def test_the_owner_hears_of_the_new_key_once_it_serves(keys, rotation):
    changed = await keys.rotate()
    assert changed == (NEXT, True)
    assert keys.identity is NEXT
    assert rotation.done == [("prepare", "k1"), ("settle", "k2")]


async def test_records_are_signed_by_the_key_that_was_welcomed_last(keys):
    before = keys.sign(RECORD)
    await keys.rotate()
    after = keys.sign(RECORD)
    assert (before.key_id, after.key_id) == ("k1", "k2")
    assert open_record(before, PRESENT.key.public_key()) == RECORD
    assert open_record(after, NEXT.key.public_key()) == RECORD
    assert base64.b64decode(before.signature) != base64.b64decode(after.signature)


async def test_a_link_that_does_not_come_up_in_time_takes_the_key_over_later(
    keys, rotation, monkeypatch
):
    monkeypatch.setattr(module, "SWITCH_SECONDS", 0.01)
    keys.connect_with(Link(keys, outcome=None))
    assert await keys.rotate() == (NEXT, False)
    assert keys.identity is PRESENT
    assert rotation.done == [("prepare", "k1")]


async def test_a_console_that_forgets_the_key_it_took_is_told_to_the_owner(keys, rotation):
    keys.connect_with(Link(keys, outcome="refused"))
    with pytest.raises(IdentityError, match="goes on with the present one"):
        await keys.rotate()
    assert keys.identity is PRESENT
    assert rotation.done == [("prepare", "k1"), ("drop", "k2")]


async def test_a_link_that_comes_back_under_the_same_key_is_no_news(keys, rotation):
    keys.proven(PRESENT)
    assert keys.identity is PRESENT
    assert rotation.done == []


async def test_the_console_s_order_is_carried_out(running, rotation):
    running.rotation_ordered("because")
    await until(lambda: ("settle", "k2") in rotation.done)
    assert running.identity is NEXT


async def test_a_rotation_that_a_crash_cut_short_is_finished(rotation, health):
    rotation.is_unfinished = True
    keys = NodeKeys(PRESENT, rotation, health)
    keys.connect_with(Link(keys))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keys.run())
        await until(lambda: keys.identity is NEXT)
        task.cancel()
    assert rotation.done[-1] == ("close",)


async def test_a_successor_from_an_earlier_process_is_settled_once_it_is_welcomed(
    running, rotation
):
    running.proven(NEXT)
    await until(lambda: ("settle", "k2") in rotation.done)


async def test_a_console_that_cannot_be_reached_is_obeyed_later(
    running, rotation, health, monkeypatch
):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    rotation.fail("prepare", LinkError("down", retry=True))
    running.rotation_ordered("because")
    await until(lambda: names(health) == ["key-rotation"] or running.identity is NEXT)
    await until(lambda: running.identity is NEXT)
    await until(lambda: "key-rotation" not in names(health))


async def test_an_order_that_cannot_be_carried_out_is_told_and_not_tried_for_ever(
    running, rotation, health
):
    rotation.fail("prepare", IdentityError("no store takes it"))
    running.rotation_ordered("because")
    await until(lambda: health.warnings)
    [warning] = health.warnings
    assert "no store takes it" in warning.text
    assert "byoi keys rotate" in warning.mend
    assert rotation.done.count(("prepare", "k1")) == 1


async def test_an_old_key_that_cannot_be_put_away_now_is_put_away_later(
    running, rotation, health, monkeypatch
):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    rotation.fail("settle", IdentityError("the disk is full"))
    changed = await running.rotate()
    assert changed.is_in_use
    await until(lambda: rotation.done.count(("settle", "k2")) == 2)
    await until(lambda: "key-rotation" not in names(health))


async def test_a_record_that_cannot_be_read_is_a_warning(rotation, health):
    rotation.fail("begin", IdentityError("damaged"))
    keys = NodeKeys(PRESENT, rotation, health)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keys.run())
        await until(lambda: health.warnings)
        task.cancel()
    assert "damaged" in health.warnings[0].text


async def test_two_rotations_at_once_take_turns(keys, rotation):
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(keys.rotate())
    assert [step for step, _ in rotation.done] == ["prepare", "settle"] * 2


async def test_a_key_in_a_file_is_a_warning_as_long_as_it_is_there(keys, health, rotation):
    assert names(health) == []
    await keys.rotate()
    assert names(health) == ["key-in-file"]
    keys.proven(PRESENT)
    assert names(health) == []

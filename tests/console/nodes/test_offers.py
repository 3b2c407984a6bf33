from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from byoi_console.nodes import offers as offers_module
from byoi_console.nodes.offers import Offers


class Records:
    """Writes down what is written down; refuses while told to."""

    def __init__(self):
        self.written, self.refuses, self.is_slow = [], False, False
        self.wrote = asyncio.Event()

    async def offer(self, batch):
        self.wrote.set()
        if self.is_slow:
            await asyncio.get_running_loop().create_future()
        if self.refuses:
            raise OperationalError("UPDATE", {}, sqlite3.OperationalError("disk full"))
        self.written.append(dict(batch))


async def test_many_nodes_are_written_together_and_each_change_once():
    records = Records()
    offers = Offers(records)
    offers.heard("a", ["m2", "m1"])
    offers.heard("b", ["m1"])
    offers.heard("a", ["m1", "m2", "m2"])
    await offers.write()
    assert records.written == [{"a": ("m1", "m2"), "b": ("m1",)}]
    offers.heard("a", ["m1", "m2"])
    assert not offers._waiting
    offers.heard("a", ["m2"])
    await offers.write()
    assert records.written[1:] == [{"a": ("m2",)}]


async def test_a_node_at_rest_may_come_back_with_what_it_offered_before():
    records = Records()
    offers = Offers(records)
    offers.heard("a", ["m1"])
    offers.heard("a", [])
    await offers.write()
    assert records.written == [{"a": ("m1",)}]


async def test_a_part_of_it_that_a_node_at_rest_offers_takes_nothing_away():
    records = Records()
    offers = Offers(records)
    for word in ("m1", "m2"):
        offers.heard("a", [word], serves=False)
    await offers.write()
    offers.heard("a", ["m1"], serves=False)
    assert not offers._waiting
    offers.heard("a", ["m3"], serves=False)
    await offers.write()
    offers.heard("a", ["m1"])
    await offers.write()
    assert [batch["a"] for batch in records.written] == [("m1", "m2"), ("m1", "m2", "m3"), ("m1",)]


async def test_a_node_that_names_ever_more_models_at_rest_is_not_kept_with_all_of_them():
    records = Records()
    offers = Offers(records)
    offers.heard("a", [f"m{number}" for number in range(1_000)], serves=False)
    offers.heard("a", ["one more"], serves=False)
    await offers.write()
    assert records.written == [{"a": ("one more",)}]


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_is_just_being_written_was_offered_too(refuses):
    records = Records()
    offers = Offers(records)
    offer = records.offer

    async def heard_meanwhile(batch):
        records.offer = offer
        offers.heard("a", ["m2"], serves=False)
        await offer(batch)

    records.offer, records.refuses = heard_meanwhile, refuses
    offers.heard("a", ["m1"])
    with pytest.raises(OperationalError) if refuses else contextlib.nullcontext():
        await offers.write()
    records.refuses = False
    await offers.write()
    assert records.written[-1] == {"a": ("m1", "m2")}


async def test_a_word_taken_back_before_it_was_written_is_taken_back():
    records = Records()
    offers = Offers(records)
    offers.heard("a", ["m1"])
    await offers.write()
    offers.heard("a", ["m2"])
    offers.heard("a", ["m1"])
    await offers.write()
    assert records.written[-1] == {"a": ("m1",)}


async def test_what_a_database_refused_is_written_later_unless_it_changed():
    records = Records()
    offers = Offers(records)
    records.refuses = True
    offers.heard("a", ["m1"])
    offers.heard("b", ["m1"])
    with pytest.raises(OperationalError):
        await offers.write()
    records.refuses = False
    offers.heard("b", ["m2"])
    await offers.write()
    assert records.written == [{"a": ("m1",), "b": ("m2",)}]


@pytest.mark.parametrize("is_writing", [False, True], ids=["while it gathers", "while it writes"])
async def test_what_was_heard_just_before_the_end_is_written(monkeypatch, is_writing):
    monkeypatch.setattr(offers_module, "GATHER_SECONDS", 0 if is_writing else 600)
    records = Records()
    records.is_slow = is_writing
    offers = Offers(records)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        running = tasks.create_task(offers.run())
        offers.heard("a", ["m1"])
        if is_writing:
            await records.wrote.wait()
        else:
            await asyncio.sleep(0)
        records.is_slow = False
        running.cancel()
    assert records.written == [{"a": ("m1",)}]


async def test_a_database_that_refuses_holds_no_end_up(monkeypatch):
    monkeypatch.setattr(offers_module, "GATHER_SECONDS", 600)
    records = Records()
    records.refuses = True
    offers = Offers(records)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        running = tasks.create_task(offers.run())
        offers.heard("a", ["m1"])
        await asyncio.sleep(0)
        running.cancel()
    assert records.wrote.is_set()


async def test_it_is_told_once_that_the_database_refuses(monkeypatch, caplog):
    monkeypatch.setattr(offers_module, "GATHER_SECONDS", 0)
    monkeypatch.setattr(offers_module, "AGAIN_SECONDS", 0)
    records = Records()
    records.refuses = True
    offers = Offers(records)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(offers.run())
        offers.heard("a", ["m1"])
        for _ in range(3):
            await asyncio.wait_for(records.wrote.wait(), 60)
            records.wrote.clear()
        records.refuses = False
        while not records.written:
            await asyncio.wait_for(records.wrote.wait(), 60)
            records.wrote.clear()
        running.cancel()
    assert [line.message for line in caplog.records] == ["offers not written"]
    assert records.written == [{"a": ("m1",)}]

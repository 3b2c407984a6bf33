from __future__ import annotations

import sqlite3

import pytest

from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.report import EVERYTHING, UsageFilter, read_report
from byoi_agent.usage.storage import Storage, StorageUnavailable

IDLE = EnergyKey("2027-01-15", "", "idle", "counter", "EUR")
LEFT = EnergyKey("2027-01-16", "small", "left", "power", "")


async def test_lines_are_added_to_what_is_there_and_read_without_an_agent(new_outbox, tmp_path):
    async with new_outbox() as outbox:
        await outbox.add_energy([EnergyLine(IDLE, 5, 2), EnergyLine(LEFT, 7, 0)])
    async with new_outbox() as outbox:
        await outbox.add_energy([EnergyLine(IDLE, 10, 3)])
        assert (await outbox.report()).energy == (EnergyLine(IDLE, 15, 5), EnergyLine(LEFT, 7, 0))
    path = tmp_path / "state" / "usage.db"
    assert read_report(path, UsageFilter(until="2027-01-15")).energy == (EnergyLine(IDLE, 15, 5),)
    assert read_report(path, UsageFilter(model="small")).energy == (EnergyLine(LEFT, 7, 0),)


async def test_what_cannot_be_written_is_not_half_written(new_outbox, tmp_path):
    async with new_outbox() as outbox:
        other = sqlite3.connect(tmp_path / "state" / "usage.db", isolation_level=None)
        other.execute("DROP TABLE energy")
        other.close()
        with pytest.raises(StorageUnavailable):
            await outbox.add_energy([EnergyLine(IDLE, 5, 2)])


def test_days_are_forgotten_with_the_records(tmp_path):
    storage = Storage(tmp_path / "usage.db")
    storage.open()
    storage.add_energy([EnergyLine(IDLE, 5, 2), EnergyLine(LEFT, 7, 0)])
    storage.prune(1_800_057_600.0)  # 2027-01-16, midnight
    assert [line.key for line in storage.report(EVERYTHING).energy] == [LEFT]
    storage.close()

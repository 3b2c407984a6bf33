from __future__ import annotations

import sqlite3
import subprocess
import sys

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


AGENT = """
import sys, time
from pathlib import Path
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.storage import Storage
storage = Storage(Path(sys.argv[1]))
storage.open()
key = EnergyKey("2027-01-15", "", "idle", "counter", "EUR")
for minute in range(3):
    storage.add_energy([EnergyLine(key, 10, 1)])
print("written", flush=True)
time.sleep(60)
"""


def test_what_was_written_outlives_an_agent_that_is_killed(tmp_path):
    path = tmp_path / "usage.db"
    with subprocess.Popen([sys.executable, "-c", AGENT, path], stdout=subprocess.PIPE) as agent:
        assert agent.stdout.readline() == b"written\n"
        agent.kill()
    assert read_report(path).energy == (EnergyLine(IDLE, 30, 3),)

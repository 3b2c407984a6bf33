from __future__ import annotations

import asyncio
import errno
import os

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.control import word as module
from byoi_agent.control.instances import read_place
from byoi_agent.control.schema import NodePlace
from byoi_agent.control.word import Word
from byoi_agent.telemetry.health import Health


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def word(tmp_path, health):

    place = NodePlace(node_id="n1", pid=os.getpid(), control_url="u", control_token="t")
    return Word(tmp_path / "control.json", lambda: place, health, SystemClock())


def test_it_is_left_and_taken_back(word, tmp_path):
    assert word.leave()
    assert read_place(tmp_path / "control.json").node_id == "n1"
    word.take_back()
    assert read_place(tmp_path / "control.json") is None


async def test_on_a_full_disk_it_is_left_once_there_is_room(word, health, tmp_path, monkeypatch):
    full = [True, True, False]
    write = module.write_place

    def try_to_write(file, place):
        if full.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, place)

    monkeypatch.setattr(module, "write_place", try_to_write)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    assert not word.leave()
    assert "No space left" in health.warnings[0].text
    async with asyncio.timeout(60):
        await word.run()
    assert health.warnings == ()
    assert read_place(tmp_path / "control.json") is not None


def test_a_disk_that_takes_nothing_any_more_is_no_way_to_end(word, monkeypatch):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    assert word.leave()
    monkeypatch.setattr("pathlib.Path.unlink", read_only)
    word.take_back()

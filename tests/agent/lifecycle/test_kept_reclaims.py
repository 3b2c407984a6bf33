from __future__ import annotations

import pytest

from byoi_agent.availability.reclaims import Reclaim
from byoi_agent.lifecycle.kept_reclaims import KeptReclaims

ONE = Reclaim("active", 1_800_000_000.0, 0.7, slowest="llamacpp")


def test_times_are_kept_beyond_the_nodes_end(tmp_path):
    file = tmp_path / "reclaims.json"
    KeptReclaims(file).keep(ONE)
    again = KeptReclaims(file)
    assert again.all.kept == (ONE,)
    again.keep(ONE)
    assert KeptReclaims(file).all.times.count == 2


@pytest.mark.parametrize("text", ["nonsense", "{}", ""])
def test_a_broken_file_costs_the_times_and_no_more(tmp_path, text):
    file = tmp_path / "reclaims.json"
    file.write_text(text)
    file.chmod(0o600)
    kept = KeptReclaims(file)
    assert kept.all.kept == ()
    kept.keep(ONE)
    assert KeptReclaims(file).all.kept == (ONE,)


def test_what_the_disk_does_not_take_is_told_all_the_same(tmp_path, caplog):
    folder = tmp_path / "gone"
    folder.write_text("a file where the folder was")
    kept = KeptReclaims(folder / "reclaims.json")
    kept.keep(ONE)
    assert kept.all.times.count == 1
    assert "not kept" in caplog.text

from __future__ import annotations

import os
import time

import pytest

from byoi_agent.doctor import folders
from byoi_agent.doctor.fixes import fix


async def test_private_folders_with_room_are_well(well, told):
    found = told(await folders.check(well()))
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "leftovers" not in found


async def test_what_others_may_read_is_told_and_can_be_fixed(well, told):
    patient = well()
    patient.paths.keys_folder.mkdir(mode=0o755)
    key = patient.paths.keys_folder / "key"
    key.write_text("x")
    key.chmod(0o640)
    found = told(await folders.check(patient))["folders"]
    assert found.state == "fail"
    assert found.can_fix
    assert str(key) in found.text
    done = await fix(patient, frozenset({"folders"}))
    assert "2 files" in done["folders"]
    assert key.stat().st_mode & 0o777 == 0o600
    assert told(await folders.check(patient))["folders"].state == "ok"


@pytest.mark.parametrize(("free", "state"), [(10**6, "fail"), (600 * 2**20, "warn")])
async def test_a_disk_that_runs_full(well, told, monkeypatch, free, state):
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _path: type("Use", (), {"free": free}))
    assert told(await folders.check(well()))["disk"].state == state


async def test_only_old_drafts_of_ours_are_leftovers_and_only_those_are_removed(well, told):
    patient = well()
    old = patient.paths.state / ".identity.json.0123456789ab"
    fresh = patient.paths.state / ".control.json.0123456789ab"
    other = patient.paths.state / ".notes"
    for file in (old, fresh, other):
        file.write_text("x")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    assert told(await folders.check(patient))["leftovers"].can_fix
    await fix(patient, frozenset({"leftovers"}))
    assert [file.exists() for file in (old, fresh, other)] == [False, True, True]


async def test_a_running_node_s_folder_is_not_cleaned(well, tmp_path):
    from byoi_agent.config.lock import StateLock

    patient = well()
    draft = patient.paths.state / ".identity.json.0123456789ab"
    draft.write_text("x")
    os.utime(draft, (0, 0))
    with StateLock(patient.paths.lock_file):
        assert await fix(patient, frozenset({"leftovers"})) == {}
        assert draft.exists()
        names = frozenset({"leftovers", "orphans"})
        done = await fix(patient, names, is_the_node=True)  # which alone may: its lock is its own
    assert done == {"leftovers": "1 removed"}
    assert not draft.exists()

from __future__ import annotations

import threading

import pytest

from byoi_agent.doctor import fixes
from byoi_agent.doctor.finding import Report, failed, ok, warned
from byoi_agent.doctor.mending import mend, told

OPEN = failed("folders", "Folders", "others may use /s", "byoi doctor --fix", can_fix=True)
HALF = warned("leftovers", "Leftovers", "a file half written", "byoi doctor --fix", can_fix=True)
FULL = failed("disk", "Disk", "full", "make room")


def test_what_was_mended_comes_first_in_the_words_of_what_was_done():
    before, after = Report(checks=(FULL, OPEN)), Report(checks=(FULL, ok("folders", "Folders", "")))
    found = told(before, after, {"folders": "rights of 2 files taken"})
    assert [(check.name, check.state) for check in found.checks] == [
        ("folders", "ok"),
        ("disk", "fail"),
    ]
    assert found.checks[0].is_fixed
    assert found.checks[0].text == "rights of 2 files taken"
    assert found.checks[0].mend is None
    assert not any(check.can_fix for check in found.checks)


def test_what_is_still_wrong_is_told_as_it_is():
    found = told(Report(checks=(OPEN,)), Report(checks=(OPEN,)), {"folders": "rights of 1 file"})
    assert found.checks == (OPEN,)


def test_what_is_no_longer_found_was_mended():
    found = told(Report(checks=(HALF,)), Report(), {"leftovers": "1 removed"})
    assert found.is_well
    assert found.checks[0].text == "1 removed"


async def test_a_running_node_takes_others_rights_and_looks_again(well):
    patient = well()
    patient.paths.keys_folder.mkdir(mode=0o755)
    found = {check.name: check for check in (await mend(patient, is_the_node=True)).checks}
    assert found["folders"].is_fixed
    assert patient.paths.keys_folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("is_the_node", [True, False])
async def test_a_mend_that_the_disk_refuses_is_told_and_holds_up_no_other(
    well, monkeypatch, caplog, is_the_node
):
    async def nobody(_folder):
        return 2

    threads = []

    def refuse(_paths):
        threads.append(threading.current_thread())
        raise PermissionError(13, "Permission denied", "/s/.draft")

    monkeypatch.setattr(fixes, "drafts", refuse)
    monkeypatch.setattr(fixes, "too_open", refuse)
    monkeypatch.setattr(fixes, "clear_leftovers", nobody)
    names = frozenset({"folders", "leftovers", "orphans"})
    done = await fixes.fix(well(), names, is_the_node=is_the_node)
    assert done == ({} if is_the_node else {"orphans": "2 processes ended"})
    assert [line.reason for line in caplog.records] == [
        "[Errno 13] Permission denied: '/s/.draft'"
    ] * 2
    assert threading.main_thread() not in threads


async def test_where_nothing_can_be_mended_one_look_is_enough(well, monkeypatch):
    looks = []

    async def examine(_patient):
        looks.append(1)
        return Report(checks=(FULL,))

    monkeypatch.setattr("byoi_agent.doctor.mending.examine", examine)
    assert (await mend(well())).checks == (FULL,)
    assert looks == [1]

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from byoi_agent.service.windows_tasks import run_every_hour, run_no_more

FORM = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
KEEP_THE_FILE = 'for last do :; done; cp "$last" "${0%/*}/kept"'


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / "Program Files & more"
    folder.mkdir()
    return folder / "byoi.exe"


def test_a_task_comes_and_goes(programs, program):
    programs.stand_in("schtasks.exe")
    run_every_hour("byoi update", program, "update --unattended")
    run_no_more("byoi update")
    assert programs.calls == [
        f"schtasks.exe /Create /F /TN byoi update /RU SYSTEM /XML {program.parent}/task.xml",
        "schtasks.exe /Delete /F /TN byoi update",
    ]
    assert list(program.parent.iterdir()) == []


def test_each_hour_the_system_runs_it_and_goes_on_where_a_laptop_is_unplugged(programs, program):
    programs.stand_in("schtasks.exe", KEEP_THE_FILE)
    run_every_hour("byoi update", program, "update --unattended")
    written = (programs.folder / "kept").read_bytes()
    assert written.startswith((b"\xff\xfe", b"\xfe\xff"))  # as the scheduler wants it
    said = {each.tag.removeprefix(FORM): each.text for each in ET.fromstring(written).iter()}
    assert (said["Command"], said["Arguments"]) == (str(program), "update --unattended")
    assert (said["UserId"], said["Interval"]) == ("S-1-5-18", "PT1H")
    assert said["DisallowStartIfOnBatteries"] == said["StopIfGoingOnBatteries"] == "false"


def test_a_scheduler_that_refuses_is_told_and_a_task_that_is_not_there_is_well(programs, program):
    programs.stand_in("schtasks.exe", "echo 'ERROR: Access is denied.' >&2; exit 1")
    with pytest.raises(OSError, match=r"Access is denied\."):
        run_every_hour("byoi update", program, "x")
    run_no_more("byoi update")
    programs.stand_in("schtasks.exe", "exit 5")
    with pytest.raises(OSError, match="ended with 5"):
        run_every_hour("byoi update", program, "x")
    assert list(program.parent.iterdir()) == []

from __future__ import annotations

import pytest

from byoi_agent.service.windows_tasks import run_every_hour, run_no_more


def test_a_task_comes_and_goes(programs):
    programs.stand_in("schtasks.exe")
    run_every_hour("byoi update", '"C:\\Program Files\\byoi\\bin\\byoi.exe" update --unattended')
    run_no_more("byoi update")
    assert programs.calls == [
        "schtasks.exe /Create /F /TN byoi update /SC HOURLY /RU SYSTEM "
        '/TR "C:\\Program Files\\byoi\\bin\\byoi.exe" update --unattended',
        "schtasks.exe /Delete /F /TN byoi update",
    ]


def test_a_scheduler_that_refuses_is_told_and_a_task_that_is_not_there_is_well(programs):
    programs.stand_in("schtasks.exe", "echo 'ERROR: Access is denied.' >&2; exit 1")
    with pytest.raises(OSError, match=r"Access is denied\."):
        run_every_hour("byoi update", "x")
    run_no_more("byoi update")
    programs.stand_in("schtasks.exe", "exit 5")
    with pytest.raises(OSError, match="ended with 5"):
        run_every_hour("byoi update", "x")

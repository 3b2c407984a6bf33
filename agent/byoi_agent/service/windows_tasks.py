"""Has Windows' task scheduler run a program every hour, by `schtasks`."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM: Final = "schtasks.exe"
_CALL_SECONDS: Final = 60.0

_TASK: Final = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
    <TimeTrigger>
      <Repetition>
        <Interval>PT1H</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2026-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <Enabled>true</Enabled>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
"""Form of Task Scheduler 2.0 ([MS-TSCH] 2.5), and SYSTEM's number ([MS-DTYP] 2.4.2.4)."""


def run_every_hour(name: str, program: Path, arguments: str) -> None:
    """From now on, by the system's own account, whether anybody is signed in or not.

    Also on battery, and on when the power is cut: as the scheduler does it unasked, a laptop that
    is unplugged would end its updater half-way.

    Raises:
        OSError: the scheduler does not take it.
    """
    task = _TASK.format(program=escape(str(program)), arguments=escape(arguments))
    # Beside the program: who could exchange the one can exchange what the system runs anyway.
    file = program.with_name("task.xml")
    try:
        file.write_bytes(task.encode("utf-16"))
        _ask("/Create", "/F", "/TN", name, "/RU", "SYSTEM", "/XML", str(file))
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def run_no_more(name: str) -> None:
    """The way back; nothing where there is no such task."""
    with suppress(OSError):
        _ask("/Delete", "/F", "/TN", name)


def _ask(*words: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 a list of words, no shell
            (_PROGRAM, *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{_PROGRAM} does not answer") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise OSError(said or f"{_PROGRAM} ended with {done.returncode}")

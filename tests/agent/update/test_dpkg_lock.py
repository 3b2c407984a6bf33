from __future__ import annotations

import subprocess
import sys

import pytest

from byoi_agent.update.dpkg_lock import held
from byoi_agent.update.programs import UpdateFailed

TAKE = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    file = tmp_path / "lock-frontend"
    file.touch()
    return file


@pytest.fixture
def apt(lock):
    program = subprocess.Popen(
        [sys.executable, "-S", "-c", TAKE, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with program:
        assert program.stdout.readline() == b"held\n"
        yield program


def test_dpkg_is_told_that_its_caller_holds_the_lock(lock):
    with held(lock) as told:
        assert told == {"DPKG_FRONTEND_LOCKED": "true"}


def test_whoever_is_at_work_may_end(lock, apt):
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        apt.communicate()

    with held(lock, sleep=sleep):
        assert waited == [1.0]


def test_one_who_never_ends_puts_the_update_off(lock, apt):
    times = iter([0.0, 5.0, 10.0])
    waiting = held(lock, wait_seconds=10, now=lambda: next(times), sleep=lambda _: None)
    with pytest.raises(UpdateFailed, match="another program has been installing packages"), waiting:
        pass

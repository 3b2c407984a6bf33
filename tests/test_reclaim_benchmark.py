"""The benchmark of taking the machine back runs, and the promise holds while it does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TRIES = 4
FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "reclaim.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("reclaim_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_table_has_the_middle_the_worst_and_how_often_the_promise_was_kept(bench):
    rounds = [bench.Round(each, each, each, each * 2) for each in (0.5, 2.5, 0.7)]
    told = bench.table(rounds)
    assert "| → the last client's stream is over | 0.70 s | 2.50 s | 2.50 s |" in told
    assert told.endswith("2 of 3 within 2 s")


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-in is a Linux library")
def test_a_foreign_process_on_the_gpu_takes_the_machine_back_from_a_real_engine():
    # A machine that stands still for a moment does so once: what breaks the promise does each time.
    for _ in range(TRIES):
        ran = subprocess.run(
            [sys.executable, FILE, "--rounds", "1", "--streams", "4"],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        if ran.stdout.endswith("1 of 1 within 2 s\n"):
            return
        assert ran.returncode == 0, ran.stderr[-4000:]
    pytest.fail(ran.stdout)

"""How far each way of knowing energy is off: the documentation's table is what the replay gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TRACES = ROOT / "benchmarks" / "traces"


@pytest.fixture(scope="module")
def replay():
    spec = importlib.util.spec_from_file_location("energy", ROOT / "benchmarks" / "energy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["energy"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["energy"]


@pytest.fixture(scope="module")
def found(replay):
    trace = replay.read_trace(TRACES / "power.csv")
    return replay.compare(trace, replay.read_runs(TRACES / "requests.csv"))


def off(found, way, field="requests_joules"):
    truth, measured = found[0], next(one for one in found if one.way == way)
    return getattr(measured, field) / getattr(truth, field) - 1


def test_a_counter_tells_what_requests_took(found):
    assert abs(off(found, "counter")) < 0.002
    assert abs(off(found, "counter", "idle_joules")) < 0.002


@pytest.mark.parametrize("way", ["power", "power, as a mean"])
def test_power_alone_tells_it_to_a_few_percent(found, way):
    assert abs(off(found, way)) < 0.05
    assert abs(off(found, way, "idle_joules")) < 0.10


def test_a_constant_number_of_watts_is_wrong_by_far(found):
    assert off(found, "limit while it serves") > 0.5


def test_the_documentation_has_the_table_that_comes_out(replay, found):
    assert replay.table(found) in (ROOT / "docs" / "energy.md").read_text(encoding="utf-8")

from __future__ import annotations

import json

import pytest

from byoi_agent.bench.figures import Level, Prefill
from byoi_agent.bench.report import BenchReport, finished, measured_of
from byoi_wire.offers import Measured


def draft(**changes):
    facts = {
        "model": "smol",
        "engine": "llamacpp 7",
        "at_ms": 1000,
        "slots": 4,
        "context_tokens": 2048,
        "prompt_tokens": 256,
        "output_tokens": 128,
        "seconds_per_level": 10.0,
        "active_parameters": 135_000_000,
    }
    return BenchReport(**(facts | changes))


def a_level(concurrency, rate, joules=None):
    return Level(
        concurrency,
        10.0,
        9,
        first_token_ms_p50=20.0 * concurrency,
        first_token_ms_p95=40.0 * concurrency,
        request_tokens_per_second=50.0,
        tokens_per_second=rate,
        joules=joules,
    )


LEVELS = (a_level(32, 205.0, 2050.0), a_level(1, 48.0, 960.0), a_level(8, 200.0, 4000.0))
FAST = Prefill(5, 1024.0, 4000.0)


def report(levels=LEVELS, prefill=FAST, *, is_whole=True, **changes):
    return finished(draft(**changes), levels, prefill, is_whole=is_whole)


def test_what_follows_from_the_levels():
    told = report()
    assert [level.concurrency for level in told.levels] == [1, 8, 32]
    assert (told.knee_concurrency, told.knee_tokens_per_second) == (8, 200.0)
    assert told.decode_tokens_per_second == 50.0
    assert told.joules_per_token == 2.0
    assert told.flops_per_second == 2 * 135_000_000 * 4000.0


def test_what_is_advertised():
    assert measured_of(report()) == Measured(
        at_ms=1000,
        engine="llamacpp 7",
        first_token_ms=20.0,
        prefill_tokens_per_second=4000.0,
        decode_tokens_per_second=50.0,
        knee_concurrency=8,
        knee_tokens_per_second=200.0,
        joules_per_token=2.0,
        flops=2 * 135_000_000 * 4000.0,
    )


def test_what_was_not_measured_is_advertised_as_unknown():
    told = measured_of(report([a_level(1, 48.0)], None, active_parameters=None))
    assert told.prefill_tokens_per_second is None
    assert told.joules_per_token is None
    assert told.flops is None


@pytest.mark.parametrize(
    "cut",
    [
        report(is_whole=False),
        report([]),
        report([a_level(8, 200.0)]),
        report([Level(1, 10.0, 1, problem="too few")]),
        report([a_level(1, 48.0), Level(8, 10.0, 0, problem="too few")]),
        report(engine=None),
        report([Level(1, 10.0, 9, tokens_per_second=50.0, first_token_ms_p50=9.0)]),
    ],
)
def test_figures_that_are_not_whole_are_not_advertised(cut):
    assert measured_of(cut) is None


def test_a_program_reads_every_figure_with_its_unit():
    read = json.loads(report(notes=("a",)).model_dump_json())
    assert read["levels"][1]["first_token_ms_p95"] == 320.0
    assert read["prefill"]["tokens_per_second"] == 4000.0
    assert read["notes"] == ["a"]
    assert BenchReport.model_validate(read) == report(notes=("a",))


def test_levels_above_that_failed_leave_the_knee_unknown():
    told = report([a_level(1, 48.0), Level(8, 10.0, 0, problem="too few")])
    assert told.knee_concurrency is None
    assert "knee" in told.notes[-1]
    assert told.alone is not None


def test_without_any_figure_there_is_no_knee():
    told = report([], None)
    assert told.knee_concurrency is None
    assert told.good == ()
    assert told.alone is None

from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.bench.policy import Plan, knee
from byoi_agent.bench.supervisor import PREFILL_ANSWERS, Bench, Wish
from byoi_agent.errors import EngineError
from byoi_agent.hardware.devices import DeviceReading, ProbeReading


class Engine:
    """So many slots, each with the same rate; more requests wait. A word is a token."""

    def __init__(self, clock, *, slots=4, rate=10.0, prefill_rate=1000.0):
        self.clock = clock
        self.slots = asyncio.Semaphore(slots)
        self.rate = rate
        self.prefill_rate = prefill_rate
        self.requests = []
        self.running = self.peak = 0
        self.tells_usage = True
        self.cached = 0
        self.refuses = ()
        self.failure = None

    async def __call__(self, request, reader):
        body = json.loads(request)
        self.requests.append(body)
        if status := self._refusal(body):
            reader.head_received(status, {})
            reader.body_received(b'{"error": {"message": "unknown field"}}')
            reader.body_ended()
            return
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            async with self.slots:
                await self._answer(body, reader)
        finally:
            self.running -= 1

    def _refusal(self, body):
        return self.failure or (400 if any(name in body for name in self.refuses) else None)

    async def _answer(self, body, reader):
        prompt = len(body["messages"][0]["content"].split())
        await self._pass((prompt - self.cached) / self.prefill_rate)
        reader.head_received(200, {})
        for number in range(body["max_tokens"]):
            if number:
                await self._pass(1 / self.rate)
            reader.body_received(event({"choices": [{"delta": {"content": "x"}}]}))
        if self.tells_usage:
            usage = {"prompt_tokens": prompt, "completion_tokens": body["max_tokens"]}
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
            reader.body_received(event({"choices": [], "usage": usage}))
        reader.body_received(b"data: [DONE]\n\n")
        reader.body_ended()

    async def _pass(self, seconds):
        await self.clock.sleep_until(self.clock.monotonic() + seconds)


def event(content):
    return b"data: " + json.dumps(content).encode() + b"\n\n"


class Probe:
    """A card of 100 watts."""

    async def read(self):
        return ProbeReading(
            (DeviceReading(index=0, kind="nvidia", name="H200", power_watts=100.0),)
        )


def wish(**changes):
    facts = {
        "engine_id": "smol",
        "plan": Plan((1, 8), slots=4),
        "prompt_tokens": 100,
        "output_tokens": 10,
        "seconds": 10.0,
        "seed": 7,
        "context_tokens": 2048,
    }
    return Wish(**(facts | changes))


@pytest.fixture
def engine(clock):
    return Engine(clock)


@pytest.fixture
def run(clock, engine):
    """Runs a benchmark of the engine."""

    async def call(asked=None, **options):
        bench = Bench(asked or wish(), engine, clock, **options)
        await clock.run(bench.run())
        return bench

    return call


async def test_the_figures_are_those_of_the_engine(run):
    bench = await run(probe=Probe())
    alone = bench.levels[1]
    assert alone.first_token_ms_p50 == pytest.approx(100.0, rel=0.02)
    assert alone.request_tokens_per_second == pytest.approx(10.0, rel=0.01)
    # 10 tokens in each second: 0.1 s for the prompt and 9 steps of 0.1 s.
    assert alone.tokens_per_second == pytest.approx(10.0, rel=0.03)
    assert alone.joules_per_token == pytest.approx(100.0 / 10, rel=0.05)
    assert bench.prefill.tokens_per_second == pytest.approx(1000.0, rel=0.02)
    assert bench.prefill.prompt_tokens == pytest.approx(1000, rel=0.05)
    assert not bench.notes


async def test_beyond_the_slots_the_first_token_waits_and_the_sum_stays(run):
    bench = await run()
    full, queued = bench.levels[4], bench.levels[8]
    assert list(bench.levels) == [1, 8, 4, 2, 3]
    assert queued.tokens_per_second == pytest.approx(full.tokens_per_second, rel=0.05)
    assert full.tokens_per_second == pytest.approx(40.0, rel=0.05)
    assert full.first_token_ms_p50 == pytest.approx(100.0, rel=0.05)
    assert queued.first_token_ms_p50 == pytest.approx(1100.0, rel=0.05)
    assert knee({c: level.tokens_per_second for c, level in bench.levels.items()}) == 4


async def test_each_level_has_as_many_at_once_as_it_says_and_leaves_none_behind(run, engine):
    bench = await run(wish(plan=Plan((1, 6), finds_knee=False)))
    assert list(bench.levels) == [1, 6]
    assert engine.peak == 6
    assert engine.running == 0


async def test_no_prompt_is_asked_twice_and_the_lengths_are_the_engines(run, engine):
    bench = await run()
    prompts = [body["messages"][0]["content"] for body in engine.requests]
    assert len(set(prompts)) == len(prompts)
    assert bench.levels[1].prompt_tokens == pytest.approx(100, abs=1)


async def test_both_lengths_fit_the_context_and_that_is_told(run):
    bench = await run(wish(prompt_tokens=5000, output_tokens=1000, context_tokens=512))
    assert bench.prompt_tokens + bench.output_tokens <= 512
    assert bench.levels[1].prompt_tokens == pytest.approx(bench.prompt_tokens, abs=2)
    assert "context of 512 tokens" in bench.notes[0]


async def test_an_engine_that_refuses_the_field_is_asked_without(run, engine):
    engine.refuses = ("ignore_eos",)
    bench = await run()
    assert bench.levels[1].answers
    assert sum("ignore_eos" in body for body in engine.requests) == 1
    assert "lengths differ" in bench.notes[0]


async def test_without_usage_pieces_are_counted_and_prefill_is_unknown(run, engine):
    engine.tells_usage = False
    bench = await run()
    assert bench.levels[1].request_tokens_per_second == pytest.approx(10.0, rel=0.01)
    assert bench.prefill.tokens_per_second is None
    assert any("tells no usage" in note for note in bench.notes)


async def test_prompts_out_of_the_cache_are_told(run, engine):
    engine.cached = 50
    bench = await run()
    assert any("50% of the prompts in its cache" in note for note in bench.notes)
    assert bench.prefill.tokens_per_second == pytest.approx(1000.0, rel=0.02)


@pytest.mark.parametrize("status", [401, 500, 400])
async def test_an_engine_that_refuses_everything_is_an_error_that_says_why(run, engine, status):
    engine.failure = status
    with pytest.raises(ExceptionGroup) as told:
        await run()
    assert told.group_contains(EngineError, match=f"HTTP {status}: unknown field", depth=2)


async def test_an_engine_that_fails_midway_ends_its_levels_and_is_told(run, engine, clock):
    async def break_it():
        while not bench_has_level():
            await engine._pass(0.5)
        engine.failure = 503

    def bench_has_level():
        return any(len(body["messages"]) and engine.peak >= 4 for body in engine.requests)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(break_it())
        bench = await run()
    assert bench.levels[1].problem is None
    assert bench.levels[8].problem is not None
    assert bench.levels[8].tokens_per_second is None
    assert any("failed: HTTP 503" in note for note in bench.notes)
    assert any("--seconds" in note for note in bench.notes)


async def test_too_slow_an_engine_is_not_waited_for_for_ever(run, engine, clock):
    engine.rate = 0.1
    begun = clock.now
    bench = await run(wish(seconds=1.0, plan=Plan((1, 2), finds_knee=False)))
    assert bench.levels[2].problem.startswith("too few answers came")
    assert clock.now - begun < 130
    assert engine.running == 0


async def test_what_is_known_stays_readable_after_a_cancellation(clock, engine):
    bench = Bench(wish(), engine, clock)

    async def give_up():
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bench.run())
            while not bench.levels:
                await engine._pass(1.0)
            running.cancel()

    await clock.run(give_up())
    assert list(bench.levels) == [1]
    assert bench.prefill.answers == PREFILL_ANSWERS
    assert engine.running == 0


async def test_what_is_done_is_said(run):
    said = []
    await run(tell=said.append)
    assert said[0] == "warming up"
    assert "measuring concurrency 8" in said

"""Runs a benchmark: warm-up, long prompts, one request alone, many; keeps what is known.

What to measure next is `policy`'s to say, and what counts is `course`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.bench.course import PATIENCE, Course
from byoi_agent.bench.figures import LEAST_ANSWERS, prefill
from byoi_agent.bench.joules import EnergyTrace
from byoi_agent.bench.lengths import Ruler, fitting, prefill_length
from byoi_agent.bench.policy import next_concurrency
from byoi_agent.bench.prompts import body, prompt
from byoi_agent.bench.reader import AnswerReader
from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from byoi_agent.bench.figures import Answer, Level, Prefill
    from byoi_agent.bench.policy import Plan
    from byoi_agent.clock import Clock
    from byoi_agent.hardware.watch import Probe

PREFILL_ANSWERS: Final = 5
_LOOK_SECONDS: Final = 0.5
_FAILURE_SECONDS: Final = 0.25
"""What a client waits after a failure: an engine that refuses at once is not to be flooded."""

_SHORT_WORDS: Final = 16
_WARM_UP_TOKENS: Final = 4
_WARM_UP_SECONDS: Final = 600.0
"""The first answer may have to wait for a model to be loaded."""

_MUCH_CACHED: Final = 0.2
_BAD_REQUEST: Final = frozenset({400, 422})


class Asker(Protocol):
    """Sends one streamed request and lets `reader` hear its answer."""

    def __call__(self, request: bytes, reader: AnswerReader) -> Coroutine[Any, Any, None]:
        """Until the answer is over; cancelling it ends the request at the engine."""
        ...


@dataclass(frozen=True)
class Wish:
    """What is measured: lengths in tokens as asked for, `engine_id` as the engine calls the model.

    `seed` makes the prompts; another seed makes others.
    """

    engine_id: str
    plan: Plan
    prompt_tokens: int
    output_tokens: int
    seconds: float
    seed: int
    context_tokens: int | None = None


class Bench:
    """Sole owner of one benchmark and of what it has found; readable also after a cancellation.

    Attributes:
        levels: by concurrency, in the order in which they were measured.
        prefill: None until long prompts were read.
        notes: what a reader of the figures has to know.
        joules: the energy's trace, for whoever wants more of it.
    """

    def __init__(
        self,
        wish: Wish,
        ask: Asker,
        clock: Clock,
        *,
        probe: Probe | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.levels: dict[int, Level] = {}
        self.prefill: Prefill | None = None
        self.notes: list[str] = []
        self.joules = EnergyTrace()
        self._wish = wish
        self._ask = ask
        self._clock = clock
        self._probe = probe
        self._tell = tell
        self._ruler = Ruler()
        self._ignores_end = True
        self._asked = 0
        self.prompt_tokens, self.output_tokens = fitting(
            wish.prompt_tokens, wish.output_tokens, wish.context_tokens
        )
        if (self.prompt_tokens, self.output_tokens) != (wish.prompt_tokens, wish.output_tokens):
            self.notes.append(
                f"the model's context of {wish.context_tokens:,} tokens holds no more than prompts "
                f"of {self.prompt_tokens:,} and answers of {self.output_tokens:,}"
            )

    async def run(self) -> None:
        """Until all is measured.

        Raises:
            EngineError: the engine answers nothing that could be measured.
        """
        async with asyncio.TaskGroup() as tasks:
            looks = tasks.create_task(self._watch_energy(), name="bench energy")
            await self._measure_prefill(await self._warm_up())
            await self._measure_levels()
            looks.cancel()

    async def _warm_up(self) -> float | None:
        """Find out how the engine counts; returns how fast it reads a prompt, about."""
        self._tell("warming up")
        await self._first_answer()
        counted, rate = [], None
        for words in (_SHORT_WORDS, max(self._ruler.words(self.prompt_tokens), 2 * _SHORT_WORDS)):
            answer = await self._one(words, _WARM_UP_TOKENS, _WARM_UP_SECONDS)
            if answer.failure is not None:
                raise EngineError(f"the engine does not answer a prompt: {answer.failure}")
            rate = answer.prefill_tokens_per_second
            if answer.prompt_tokens is not None:
                counted.append((words, answer.prompt_tokens))
        if not counted:
            self.notes.append(
                "the engine tells no usage: tokens are the pieces in which text came, "
                "and the length of prompts is estimated"
            )
        self._ruler = Ruler.of(counted)
        return rate

    async def _first_answer(self) -> None:
        """Without the field that only some engines know, where one does not take it."""
        reader = self._reader()
        await self._send(reader, _SHORT_WORDS, _WARM_UP_TOKENS, _WARM_UP_SECONDS)
        if reader.status in _BAD_REQUEST:
            self._ignores_end = False
            self.notes.append("the engine ends answers where the model does: lengths differ")
            reader = self._reader()
            await self._send(reader, _SHORT_WORDS, _WARM_UP_TOKENS, _WARM_UP_SECONDS)
        if (failure := reader.answer().failure) is not None:
            raise EngineError(f"the engine cannot be measured: {failure}")

    async def _measure_levels(self) -> None:
        plan = self._wish.plan
        while True:
            sums = {number: level.tokens_per_second for number, level in self.levels.items()}
            if (concurrency := next_concurrency(plan, sums)) is None:
                return
            self._tell(f"measuring concurrency {concurrency}")
            level = await self._level(concurrency)
            self.levels[concurrency] = level
            self._note_of(level)
            if level.tokens_per_second is not None:
                self._tell(f"  {level.tokens_per_second:,.1f} tokens a second together")

    async def _level(self, concurrency: int) -> Level:
        course = Course(concurrency, self._wish.seconds, self._clock.monotonic())
        async with asyncio.TaskGroup() as tasks:
            limit = tasks.create_task(self._clock.sleep_until(course.latest), name="bench limit")
            clients = [
                tasks.create_task(self._keep_asking(course, number), name=f"bench client {number}")
                for number in range(concurrency)
            ]
            # The first client that need not ask again ends the level; the others are cut.
            await asyncio.wait({limit, *clients}, return_when=asyncio.FIRST_COMPLETED)
            course.end(self._clock.monotonic())
            for task in (limit, *clients):
                task.cancel()
        await self._look()
        return course.level(self.joules.joules)

    async def _keep_asking(self, course: Course, number: int) -> None:
        asks_again = True
        while asks_again:
            reader = self._reader()
            try:
                await self._send(reader, self._ruler.words(self.prompt_tokens), self.output_tokens)
            except asyncio.CancelledError:
                course.cut_off(reader.answer())
                raise
            answer = reader.answer()
            asks_again = course.answered(number, answer)
            if asks_again and answer.failure is not None:
                await self._clock.sleep_until(self._clock.monotonic() + _FAILURE_SECONDS)

    async def _measure_prefill(self, rate: float | None) -> None:
        """One long prompt after the other, alone."""
        length = prefill_length(self.prompt_tokens, rate, self._wish.context_tokens)
        self._tell(f"measuring prompts of {length:,} tokens")
        words = self._ruler.words(length)
        began = self._clock.monotonic()
        answers: list[Answer] = []
        while len(answers) < PREFILL_ANSWERS:
            spent = self._clock.monotonic() - began
            if spent > self._wish.seconds and len(answers) >= LEAST_ANSWERS:
                break
            left = PATIENCE * self._wish.seconds - spent
            if left <= 0:
                break
            answers.append(await self._one(words, 1, left))
            self.prefill = prefill(answers)
        for failure in {answer.failure for answer in answers} - {None}:
            self.notes.append(f"of the long prompts some failed: {failure}")

    async def _one(self, words: int, output_tokens: int, seconds: float) -> Answer:
        reader = self._reader()
        await self._send(reader, words, output_tokens, seconds)
        return reader.answer()

    async def _send(
        self, reader: AnswerReader, words: int, output_tokens: int, seconds: float | None = None
    ) -> None:
        """Ask with a prompt that was never asked before; cut after so many seconds."""
        self._asked += 1
        text = prompt(self._wish.seed + self._asked, words)
        request = body(self._wish.engine_id, text, output_tokens, ignores_end=self._ignores_end)
        if seconds is None:  # the level's own limit ends it
            await self._ask(request, reader)
            return
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(request, reader), name="bench request")
            limit = tasks.create_task(
                self._clock.sleep_until(self._clock.monotonic() + seconds), name="bench limit"
            )
            await asyncio.wait({asking, limit}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            limit.cancel()

    def _reader(self) -> AnswerReader:
        return AnswerReader(self._clock.monotonic)

    def _note_of(self, level: Level) -> None:
        number = level.concurrency
        for failure, count in level.failures.items():
            self.notes.append(f"at concurrency {number}, {count} failed: {failure}")
        if level.problem is not None:
            self.notes.append(
                f"concurrency {number} is not reported: {level.problem}; "
                "more time may help: --seconds, or shorter answers: --output-tokens"
            )
        if (level.cached_share or 0.0) > _MUCH_CACHED:
            self.notes.append(
                f"at concurrency {number} the engine had {level.cached_share:.0%} of the prompts "
                "in its cache"
            )

    async def _watch_energy(self) -> None:
        while self._probe is not None:
            await self._look()
            await self._clock.sleep_until(self._clock.monotonic() + _LOOK_SECONDS)

    async def _look(self) -> None:
        if self._probe is not None:
            reading = await self._probe.read()
            self.joules.note(self._clock.monotonic(), reading.devices)

"""One level's course: when its figures begin to count, when enough has come; pure.

Each client of the level asks again as soon as it has its answer. Its first answer is the warm-up:
until every client has had one, requests that came all at once are still sorting themselves out,
and their waiting says nothing of what goes on. The window in which all is counted lies between the
last of these and the end, so that all clients are waiting for an answer throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.bench.figures import LEAST_ANSWERS, level

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.bench.figures import Answer, Level

PATIENCE: Final = 12
"""A level may take so many times the seconds that it was given; then what has come must do."""

_HOPELESS_FAILURES: Final = 5


@dataclass
class Course:
    """Sole owner of what came at one concurrency. `began` and all `now` are monotonic seconds."""

    concurrency: int
    seconds: float
    began: float
    _warm: set[int] = field(default_factory=set)
    _earlier: list[Answer] = field(default_factory=list)
    _answers: list[Answer] = field(default_factory=list)
    _cut: list[Answer] = field(default_factory=list)
    _counts_from: float | None = None
    _ended: float | None = None

    @property
    def latest(self) -> float:
        """When it ends whatever came."""
        return self.began + PATIENCE * self.seconds

    @property
    def window(self) -> tuple[float, float]:
        """From when to when it counts; empty where it has not begun, or not ended."""
        begin = self.began if self._counts_from is None else self._counts_from
        return begin, max(begin, begin if self._ended is None else self._ended)

    def answered(self, client: int, answer: Answer) -> bool:
        """One client has its answer; whether it shall ask again."""
        if self._ended is not None:
            return False
        if self._counts_from is None:
            self._earlier.append(answer)
            self._warm.add(client)
            if len(self._warm) == self.concurrency:
                self._counts_from = answer.ended
        else:
            self._answers.append(answer)
        if self._is_enough(answer.ended) or self._is_hopeless():
            self.end(answer.ended)
            return False
        return True

    def cut_off(self, answer: Answer) -> None:
        """A client was still reading this when the level ended."""
        self._cut.append(answer)

    def end(self, now: float) -> None:
        """Nothing counts from now on."""
        if self._ended is None:
            self._ended = now

    def level(self, joules: Callable[[float, float], float | None]) -> Level:
        """Its figures; `joules` tells the energy between two moments."""
        failed = [answer for answer in self._earlier if answer.failure is not None]
        return level(
            self.concurrency,
            (*failed, *self._answers),
            self.window,
            earlier=[answer for answer in self._earlier if answer.failure is None],
            cut=self._cut,
            joules=joules(*self.window),
        )

    def _is_enough(self, now: float) -> bool:
        whole = sum(answer.failure is None for answer in self._answers)
        needed = max(LEAST_ANSWERS, self.concurrency)
        return whole >= needed and now - self.window[0] >= self.seconds

    def _is_hopeless(self) -> bool:
        """Nothing but failures come, or so many that the figures would be refused."""
        came = (*self._earlier, *self._answers)
        failed = sum(answer.failure is not None for answer in came)
        return failed >= _HOPELESS_FAILURES + self.concurrency and 2 * failed > len(came)

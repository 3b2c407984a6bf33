"""What earlier loads teach of an estimate: predicted against measured memory, and the factor.

An estimate is corrected by what was seen of the same load, and where there is nothing of it yet, by
its relatives: the same model in another size, the same version with another model, the same engine.
Each level pulls the factor of the one above towards its own median, the more the oftener it was
seen; a median, so that one odd load among others does not count. Downwards it is more careful: a
load may not have had its longest prompt yet, so there the one that took most counts, as long as it
took less than reckoned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Basis = Literal["none", "engine", "version", "model", "load"]
"""The nearest that was seen before: nothing, or a load that had this in common."""

OBSERVATIONS_KEPT: Final = 8
"""Of each load, the newest: an engine of the same version can change with its driver."""

KEYS_KEPT: Final = 500
"""Loads that are remembered; the one that was seen longest ago goes first."""

FACTOR_LIMIT: Final = 4.0
"""No estimate is raised by more than that: beyond it the estimate itself is wrong, or the
measurement."""

LOWEST_FACTOR: Final = 0.75
"""Downwards by a quarter at most: what was reckoned for the largest request may never have been
asked for yet, and whoever asks for it next must not end the engine."""

_DOUBT: Final[Mapping[Basis, float]] = {"engine": 4.0, "version": 2.0, "model": 1.0, "load": 0.5}
"""How many loads a level needs until it counts as much as all the levels above it."""

_LINE_OBSERVATIONS: Final = 3
_DOUBT_OF_LINE: Final = 0.25


@dataclass(frozen=True, order=True)
class Key:
    """What loads have in common whose memory should be the same."""

    engine: str
    version: str
    model: str
    quantisation: str
    context_tokens: int
    concurrency: int


@dataclass(frozen=True)
class Observation:
    """One load, at `at` in Unix seconds.

    `predicted_bytes` is the arithmetic alone, `expected_bytes` what that was corrected to before
    the load (None: nobody said), `measured_bytes` the peak that it then had.
    """

    predicted_bytes: int
    measured_bytes: int
    at: float
    expected_bytes: int | None = None

    @property
    def ratio(self) -> float:
        """Measured over predicted, within what can be believed."""
        return _bounded(self.measured_bytes / self.predicted_bytes)


@dataclass(frozen=True)
class Correction:
    """What to multiply an estimate by.

    `error` is the median share by which the nearest loads, `observations` of them, took more (or,
    negative, less) than the arithmetic had said; None without any.
    """

    factor: float = 1.0
    observations: int = 0
    error: float | None = None
    basis: Basis = "none"

    def applied(self, predicted_bytes: int) -> int:
        """The corrected estimate."""
        return round(predicted_bytes * self.factor)

    @property
    def sentence(self) -> str:
        """For people; says whose loads it rests on."""
        if self.error is None:
            return "never loaded here: the arithmetic stands uncorrected"
        loads = "the last load" if self.observations == 1 else f"the last {self.observations} loads"
        return f"{loads}{_OF[self.basis]} took {_difference(self.error)} than reckoned; corrected"


@dataclass(frozen=True)
class Accuracy:
    """Mean distance of estimates from what was then measured, as a share of it, over `loads`.

    `before` is that of the arithmetic alone, `after` that of what was said before each load.
    """

    loads: int
    before: float
    after: float


@dataclass(frozen=True)
class Corrections:
    """All that is known of loads on this machine, oldest first for each of them."""

    seen: Mapping[Key, tuple[Observation, ...]] = field(default_factory=dict)

    def of(self, key: Key, predicted_bytes: int | None = None) -> Correction:
        """The correction of an estimate.

        With `predicted_bytes`, loads of the same model in other sizes are followed along a line: an
        engine's own part is the same in each of them, and weighs more in the small ones.
        """
        found = Correction()
        for basis, near in self._levels(key):
            if not near:
                continue
            usual, doubt = median(one.ratio for one in near), _DOUBT[basis]
            target = _careful(usual, max(one.ratio for one in near))
            if basis == "model" and predicted_bytes and (line := _on_line(near, predicted_bytes)):
                target, doubt = line, _DOUBT_OF_LINE
            factor = _between(found.factor, _bounded(target), len(near) / (len(near) + doubt))
            found = Correction(factor, len(near), usual - 1, basis)
        return found

    def and_seen(self, key: Key, observation: Observation) -> Corrections:
        """With one more, or with more of the one that has its time.

        Nothing can be learnt of what has no size.
        """
        if observation.predicted_bytes <= 0 or observation.measured_bytes <= 0:
            return self
        seen = dict(self.seen)
        others = [one for one in seen.pop(key, ()) if one.at != observation.at]
        seen[key] = (*others, observation)[-OBSERVATIONS_KEPT:]
        while len(seen) > KEYS_KEPT:
            del seen[min(seen, key=lambda one: seen[one][-1].at)]
        return Corrections(seen)

    def accuracy(self) -> Accuracy | None:
        """How good the estimates were, before and after correction; None before the first."""
        told = [
            (one, one.expected_bytes)
            for observations in self.seen.values()
            for one in observations
            if one.expected_bytes is not None
        ]
        if not told:
            return None
        return Accuracy(
            loads=len(told),
            before=mean(abs(one.predicted_bytes / one.measured_bytes - 1) for one, _ in told),
            after=mean(abs(expected / one.measured_bytes - 1) for one, expected in told),
        )

    def _levels(self, key: Key) -> Iterable[tuple[Basis, Sequence[Observation]]]:
        """From the widest to the load itself."""
        yield "engine", self._shared(key, 1)
        yield "version", self._shared(key, 2)
        yield "model", self._shared(key, 4)  # in another quantisation it is another model
        yield "load", self.seen.get(key, ())

    def _shared(self, key: Key, fields: int) -> list[Observation]:
        wanted = _fields(key)[:fields]
        return [
            one
            for other, observations in self.seen.items()
            if _fields(other)[:fields] == wanted
            for one in observations
        ]


_OF: Final[Mapping[Basis, str]] = {
    "engine": " of this engine",
    "version": " of this engine's version",
    "model": " of this model",
    "load": "",
}


def _fields(key: Key) -> tuple[str, str, str, str]:
    return key.engine, key.version, key.model, key.quantisation


def _bounded(ratio: float) -> float:
    return min(FACTOR_LIMIT, max(1 / FACTOR_LIMIT, ratio))


def _between(one: float, other: float, share: float) -> float:
    """As much nearer to the other one, in proportion: twice and half lie as far from once."""
    return math.exp(math.log(one) * (1 - share) + math.log(other) * share)


def _difference(error: float) -> str:
    percent = abs(error) * 100
    if percent < 0.05:  # noqa: PLR2004 what would be shown as 0.0
        return "neither more nor less"
    return f"{percent:.{0 if percent >= 1 else 1}f} % {'more' if error > 0 else 'less'}"


def _on_line(near: Sequence[Observation], predicted_bytes: int) -> float | None:
    """Measured over predicted at this size, by Theil and Sen's line; None without one.

    Its slope is the median of the slopes between all pairs, so that one wild load moves nothing. It
    is never below one: a larger load takes at least what it has more of, whatever smaller ones say.
    """
    if len(near) < _LINE_OBSERVATIONS:
        return None
    slopes = [
        (one.measured_bytes - other.measured_bytes) / (one.predicted_bytes - other.predicted_bytes)
        for number, one in enumerate(near)
        for other in near[:number]
        if one.predicted_bytes != other.predicted_bytes
    ]
    if not slopes:
        return None
    slope = max(1.0, median(slopes))
    starts = [one.measured_bytes - slope * one.predicted_bytes for one in near]
    usual, most = (
        (start + slope * predicted_bytes) / predicted_bytes
        for start in (median(starts), max(starts))
    )
    return _careful(usual, most) if usual > 0 else None


def _careful(usual: float, most: float) -> float:
    """What to correct by: upwards as usual, downwards by the one that took most."""
    return usual if usual >= 1 else min(1.0, max(LOWEST_FACTOR, most))

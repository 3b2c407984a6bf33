"""What training a model takes: N = 8·T·P / (X·seconds), forwards and backwards, with its extras.

T tokens, P parameters, N accelerators that achieve X FLOP/s each. A token costs each parameter six
operations (two forward, four backward: Kaplan et al., 2020, section 2.1) and two more where
activations are computed anew in the backward pass rather than kept (Narayanan et al., 2021,
section 5.1): those are the eight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

PASSES: Final = 6.0
RECOMPUTE: Final = 2.0
FACTOR: Final = PASSES + RECOMPUTE
"""Operations for each parameter and token."""

TOKENS_PER_PARAMETER: Final = 0.45
"""450 billion tokens for a trillion parameters; a habit, see `MANY_TOKENS_PER_PARAMETER`."""

MANY_TOKENS_PER_PARAMETER: Final = 20.0
"""What makes the most of given operations, after Hoffmann et al., 2022 ("Chinchilla")."""

DAY_SECONDS: Final = 86_400.0
DAYS: Final = 90.0

_FORWARD: Final = 2.0

GpuName = Literal["a100", "h100", "gb300"]


@dataclass(frozen=True)
class Preset:
    """A GPU as it is commonly reckoned with: assumptions, none of it measured here.

    `flops` are achieved in training, not a data sheet's peak; `node_gpus` are joined by NVLink.
    """

    title: str
    flops: float
    memory_bytes: int
    node_gpus: int


PRESETS: Final[dict[GpuName, Preset]] = {
    "a100": Preset("A100 80 GB", 163e12, 80 * 10**9, 8),
    "h100": Preset("H100 80 GB", 600e12, 80 * 10**9, 8),
    "gb300": Preset("GB300 288 GB", 2000e12, 288 * 10**9, 72),
}


@dataclass(frozen=True)
class Extras:
    """What comes on top of the bare formula; as they stand here they add nothing.

    Times: `tokens_times` more tokens, `wall_clock_times` the days for what restarts and failures
    cost, `network_times` the time since GPUs wait for each other. Shares of the pre-training's
    operations: `post_training` (preferences, reinforcement), `fine_tuning`, `evaluation`,
    `synthetic_data`. `serving_tokens_per_second` is the fleet's that answers afterwards.
    """

    tokens_times: float = 1.0
    wall_clock_times: float = 1.0
    network_times: float = 1.0
    post_training: float = 0.0
    fine_tuning: float = 0.0
    evaluation: float = 0.0
    synthetic_data: float = 0.0
    serving_tokens_per_second: float = 0.0


@dataclass(frozen=True)
class Job:
    """What is to be trained, and on what.

    `active_parameters` work on each token: fewer than all in a mixture of experts. `flops` are
    operations a second that one accelerator (or whatever is counted) achieves.
    """

    parameters: float
    tokens: float
    flops: float
    active_parameters: float | None = None
    factor: float = FACTOR
    extras: Extras = field(default_factory=Extras)

    @property
    def pre_training_flop(self) -> float:
        """The formula's numerator."""
        tokens = self.tokens * self.extras.tokens_times
        return self.factor * tokens * (self.active_parameters or self.parameters)


@dataclass(frozen=True)
class Line:
    """One part of the work; `gpus` would do it within the whole time, beside the others."""

    name: str
    flop: float
    gpus: float
    gpu_days: float


@dataclass(frozen=True)
class Estimate:
    """`gpus` do all `lines` in `seconds`; the fleet that serves afterwards is not among them."""

    gpus: float
    seconds: float
    flop: float
    lines: tuple[Line, ...]
    serving_gpus: float

    @property
    def whole_gpus(self) -> int:
        """To buy: nobody sells a part of one. What is a whole but for rounding stays it."""
        return max(1, math.ceil(self.gpus - 1e-9 * self.gpus))


def default_tokens(parameters: float) -> float:
    """Where nobody says how many."""
    return TOKENS_PER_PARAMETER * parameters


def gpus_for(job: Job, seconds: float) -> Estimate:
    """How many it takes to be ready in time.

    Raises:
        ValueError: the result is beyond what can be counted.
    """
    return _estimate(job, _counted(_effort(job) / (job.flops * seconds)), seconds)


def time_for(job: Job, gpus: float) -> Estimate:
    """How long so many take.

    Raises:
        ValueError: the result is beyond what can be counted.
    """
    return _estimate(job, gpus, _counted(_effort(job) / (job.flops * gpus)))


def _effort(job: Job) -> float:
    """All operations, grown by the time in which none are done."""
    return sum(flop for _, flop in _works(job)) * _slowness(job)


def _slowness(job: Job) -> float:
    return job.extras.network_times * job.extras.wall_clock_times


def _works(job: Job) -> list[tuple[str, float]]:
    whole, extras = job.pre_training_flop, job.extras
    shares = (
        ("pre-training", 1.0),
        ("post-training", extras.post_training),
        ("fine-tuning", extras.fine_tuning),
        ("evaluation", extras.evaluation),
        ("synthetic data", extras.synthetic_data),
    )
    return [(name, share * whole) for name, share in shares if share > 0]


def _estimate(job: Job, gpus: float, seconds: float) -> Estimate:
    works = _works(job)
    lines = []
    for name, flop in works:
        gpu_seconds = flop * _slowness(job) / job.flops
        lines.append(Line(name, flop, gpu_seconds / seconds, gpu_seconds / DAY_SECONDS))
    one_token = _FORWARD * (job.active_parameters or job.parameters)
    return Estimate(
        gpus=gpus,
        seconds=seconds,
        flop=sum(flop for _, flop in works),
        lines=tuple(lines),
        serving_gpus=one_token * job.extras.serving_tokens_per_second / job.flops,
    )


def _counted(result: float) -> float:
    if not 0 < result < math.inf:
        raise ValueError("the result is beyond what can be counted; look at the numbers again")
    return result

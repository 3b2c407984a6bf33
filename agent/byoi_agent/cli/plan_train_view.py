"""An estimate of training, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.planning.quantities import counted, duration, spoken
from byoi_agent.planning.training import DAY_SECONDS, FACTOR
from byoi_agent.planning.training_limits import (
    BYTES_PER_PARAMETER,
    STATE_BYTES,
    spoken_bytes,
    state_bytes,
)

if TYPE_CHECKING:
    from byoi_agent.planning.training import Estimate, Job, Preset
    from byoi_agent.planning.training_limits import Place, Warned

_WIDTH: Final = 96
_INDENT: Final = 17
_WORDS: Final = {
    "gpu": ("GPU", "GPUs"),
    "machine": ("machine", "machines"),
    "node": ("node", "nodes"),
}
_EXACT_FROM_INTEGER: Final = 2.0**53


@dataclass(frozen=True)
class Counted:
    """What was measured: this machine alone, or so many nodes of a fleet together."""

    count: int
    flops: float
    unmeasured: int = 0
    offline: int = 0


@dataclass(frozen=True)
class Answer:
    """All that is shown; `alone` is what the measured ones would take, with nothing bought."""

    job: Job
    estimate: Estimate
    source: str
    place: Place
    warnings: tuple[Warned, ...]
    preset: Preset | None = None
    counted: Counted | None = None
    alone: Estimate | None = None
    are_tokens_assumed: bool = False
    are_gpus_given: bool = False


def for_programs(answer: Answer) -> str:
    """JSON: every input and every result as a plain number in its base unit."""
    job, found, place = answer.job, answer.estimate, answer.place
    told: dict[str, Any] = {
        "gpus": found.gpus,
        "gpus_to_buy": found.whole_gpus,
        "unit": place.unit,
        "days": found.seconds / DAY_SECONDS,
        "seconds": found.seconds,
        "params": job.parameters,
        "active_params": job.active_parameters or job.parameters,
        "tokens": job.tokens,
        "tokens_per_param": job.tokens / job.parameters,
        "tflops": job.flops / 1e12,
        "flops": job.flops,
        "factor": job.factor,
        **asdict(job.extras),
        "flop": found.flop,
        "gpu_days": sum(line.gpu_days for line in found.lines),
        "parts": [asdict(line) for line in found.lines],
        "serving_gpus": found.serving_gpus,
        "speed_source": answer.source,
        "is_speed_assumed": answer.preset is not None,
        "are_tokens_assumed": answer.are_tokens_assumed,
        "bytes_per_param": BYTES_PER_PARAMETER,
        "state_bytes": state_bytes(job.parameters),
        "gpu_memory_bytes": place.memory_bytes,
        "gpus_per_node": place.node_gpus,
        "has_nvlink": place.has_nvlink,
        "uplink_mbit": place.uplink_mbit,
        "measured": _measured(answer),
        "warnings": [asdict(warning) for warning in answer.warnings],
    }
    return json.dumps(_plain(told), indent=2)


def for_people(answer: Answer) -> str:
    """The arithmetic, line by line, then what it does not see."""
    lines = [*_work(answer), *_speed(answer), "", *_result(answer)]
    if answer.warnings:
        lines += ["", "What the formula does not see:"]
        lines += [
            textwrap.fill(warning.text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
            for warning in answer.warnings
        ]
    return "\n".join(lines)


def _work(answer: Answer) -> list[str]:
    job = answer.job
    each = f"{counted(job.tokens / job.parameters)} for each parameter"
    assumed = ", assumed: say --tokens" if answer.are_tokens_assumed else ""
    active = job.active_parameters
    lines = [
        _row("parameters", spoken(job.parameters)),
        *([_row("  for each token", spoken(active))] if active is not None else []),
        _row("tokens", f"{spoken(job.tokens)}  ({each}{assumed})"),
        _row("operations", f"{_factors(job)} = {job.pre_training_flop:.3g}"),
        _row("", _of_factor(job.factor)),
    ]
    times = [
        f"{getattr(job.extras, name):g} x {why}"
        for name, why in _TIMES.items()
        if getattr(job.extras, name) != 1
    ]
    return [*lines, *([_row("and then", ", ".join(times))] if times else [])]


_TIMES: Final = {
    "wall_clock_times": "for restarts and failures",
    "network_times": "for waiting on the network",
}


def _factors(job: Job) -> str:
    more = "" if job.extras.tokens_times == 1 else f" x {job.extras.tokens_times:g}"
    parameters = spoken(job.active_parameters or job.parameters)
    return f"{job.factor:g} x {spoken(job.tokens)}{more} x {parameters}"


def _of_factor(factor: float) -> str:
    if factor == FACTOR:
        return (
            "8 for each: 2 forward, 4 backward, 2 to recompute activations instead of keeping them"
        )
    return f"{factor:g} for each; 6 are forward and backward, 8 with recomputed activations"


def _speed(answer: Answer) -> list[str]:
    unit, place = _WORDS[answer.place.unit][0], answer.place
    speed = f"{spoken_tflops(answer.job.flops)} achieved"
    if answer.preset is not None:
        return [
            _row(
                f"one {unit}",
                f"{speed}  (an assumption about an {answer.preset.title}, not measured)",
            )
        ]
    if (seen := answer.counted) is None:
        return [_row(f"one {unit}", f"{speed}, as you say")]
    if place.unit == "machine":
        return [_row("this machine", f"{speed}, measured by byoi bench")]
    left_out = [
        *([f"{seen.unmeasured} online without a measurement"] if seen.unmeasured else []),
        *([f"{seen.offline} not online"] if seen.offline else []),
    ]
    rest = f"; not counted: {', '.join(left_out)}" if left_out else ""
    return [
        _row("fleet", f"{seen.count} nodes with {spoken_tflops(seen.flops)} measured{rest}"),
        _row("one node", f"{speed}, on average"),
    ]


def _result(answer: Answer) -> list[str]:
    found = answer.estimate
    one, many = _WORDS[answer.place.unit]
    lines = []
    if answer.alone is not None:
        what = "this machine" if answer.place.unit == "machine" else "this fleet"
        lines.append(_row("alone", f"{duration(answer.alone.seconds)} on {what}"))
    if answer.are_gpus_given:
        lines.append(_row("time", f"{duration(found.seconds)} on {found.gpus:,.10g} {many}"))
    else:
        lines += [
            _row("time", f"{duration(found.seconds)} = {found.seconds:,.10g} seconds"),
            _row(many, f"{found.gpus:,.2f}, so {found.whole_gpus:,} to buy"),
        ]
    lines.append(_row("memory", _memory(answer.job.parameters)))
    if len(found.lines) > 1:
        lines += [
            _row(
                f"  {line.name}",
                f"{line.flop:.3g} operations, {counted(line.gpu_days)} {one}-days, "
                f"{counted(line.gpus)} {many}",
            )
            for line in found.lines
        ]
    if found.serving_gpus:
        lines.append(
            _row(
                "serving",
                f"{counted(found.serving_gpus)} {many} afterwards, for "
                f"{spoken(answer.job.extras.serving_tokens_per_second)} tokens/s "
                "(2 operations for each parameter)",
            )
        )
    return lines


def _memory(parameters: float) -> str:
    parts = " + ".join(f"{size} {name}" for name, size in STATE_BYTES.items())
    return f"{spoken_bytes(state_bytes(parameters))} = {BYTES_PER_PARAMETER} a parameter ({parts})"


def spoken_tflops(flops: float) -> str:
    """In the unit that suits it."""
    for size, unit in ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s")):
        if flops >= size:
            return f"{spoken(flops / size)} {unit}"
    return f"{flops:.3g} FLOP/s"


def _measured(answer: Answer) -> dict[str, Any] | None:
    if answer.counted is None or answer.alone is None:
        return None
    return {**asdict(answer.counted), "seconds": answer.alone.seconds}


def _row(title: str, text: str) -> str:
    return f"{title:<{_INDENT}}{text}"


def _plain(value: Any) -> Any:  # noqa: ANN401 JSON's
    """Whole numbers without a point, as long as a float holds them exactly."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FROM_INTEGER:
        return int(value)
    return value

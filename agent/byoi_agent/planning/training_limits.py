"""Why a sum of FLOP/s may train nothing: memory, links inside a node, and links between homes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from byoi_agent.planning.quantities import counted, duration, spoken
from byoi_agent.planning.training import MANY_TOKENS_PER_PARAMETER

Unit = Literal["gpu", "machine", "node"]

STATE_BYTES: Final = {
    "weights": 2,
    "gradients": 2,
    "master weights": 4,
    "momentum": 4,
    "variance": 4,
}
"""Bytes for each parameter in mixed precision with Adam: bf16, bf16, and three times fp32.

After Rajbhandari et al., 2020 ("ZeRO"), section 3.1. Activations come on top.
"""

BYTES_PER_PARAMETER: Final = sum(STATE_BYTES.values())

UPLINK_MBIT: Final = 100.0
"""What a good connection of a home sends; assumed where nobody says."""

_WHERE_FROM: Final[dict[Unit, str]] = {
    "gpu": "say --gpu-memory-gib and --gpus-per-node",
    "machine": "this machine does not tell its memory",
    "node": "the nodes do not tell their memory",
}
_GRADIENT_BYTES: Final = STATE_BYTES["gradients"]
_FEW_TOKENS_PER_PARAMETER: Final = MANY_TOKENS_PER_PARAMETER / 2


@dataclass(frozen=True)
class Place:
    """What stands where the training is to happen; None where nobody said.

    `memory_bytes` is that of one accelerator, `node_gpus` are in one machine.
    """

    unit: Unit
    memory_bytes: int | None = None
    node_gpus: int | None = None
    has_nvlink: bool | None = None
    uplink_mbit: float = UPLINK_MBIT
    nodes: int = 1


@dataclass(frozen=True)
class Warned:
    """One thing that the formula does not see: a word for programs, a sentence for people."""

    name: str
    text: str


def state_bytes(parameters: float) -> float:
    """Weights, gradients and Adam's state of a model, without activations."""
    return BYTES_PER_PARAMETER * parameters


def exchange_seconds(parameters: float, uplink_mbit: float) -> float:
    """One exchange of all gradients between machines, as a ring: each sends them about twice."""
    return 2 * _GRADIENT_BYTES * parameters * 8 / (uplink_mbit * 1e6)


def warnings(parameters: float, tokens: float, gpus: float, place: Place) -> tuple[Warned, ...]:
    """What to know before believing the estimate; the gravest first."""
    found = [
        *_memory(parameters, gpus, place),
        *_links(parameters, place),
        *_measured(place),
        *_tokens(parameters, tokens),
    ]
    return tuple(found)


def spoken_bytes(size: float) -> str:
    """In GB or TB."""
    return f"{counted(size / 1e12)} TB" if size >= 1e12 else f"{counted(size / 1e9)} GB"  # noqa: PLR2004


def _memory(parameters: float, gpus: float, place: Place) -> list[Warned]:
    need = state_bytes(parameters)
    if place.memory_bytes is None:
        text = f"{_memory_words(need)}; whether that fits is unknown: {_WHERE_FROM[place.unit]}"
        return [Warned("memory-unknown", text)]
    found = []
    least = math.ceil(need / place.memory_bytes)
    if least > math.ceil(gpus):
        text = (
            f"{_memory_words(need)}: they do not fit into {_many(math.ceil(gpus), place)} of "
            f"{spoken_bytes(place.memory_bytes)}, even spread evenly; it takes "
            f"{_many(least, place)} or more to hold them"
        )
        found.append(Warned("memory", text))
    node = place.memory_bytes * (place.node_gpus or 1)
    if place.node_gpus is not None and need > node:
        text = (
            f"one machine of {place.node_gpus} holds {spoken_bytes(node)} of "
            f"{spoken_bytes(need)}: the model must be split over "
            f"{counted(math.ceil(need / node))} machines or more, which then "
            "exchange parts of it within every step"
        )
        found.append(Warned("node-memory", text))
    return found


def _links(parameters: float, place: Place) -> list[Warned]:
    found = []
    if place.has_nvlink is False:
        text = (
            "without NVLink the GPUs of a machine speak over PCI Express, some ten times slower: "
            "fewer FLOP/s are achieved than with it"
        )
        found.append(Warned("no-nvlink", text))
    if place.unit == "node" and place.nodes > 1:
        text = (
            f"{place.nodes} machines over the connections of homes: one exchange of gradients "
            f"takes {duration(exchange_seconds(parameters, place.uplink_mbit))} at "
            f"{place.uplink_mbit:g} Mbit/s each, and ordinary training needs one after every step. "
            "Their FLOP/s add up on paper only"
        )
        found.append(Warned("wide-area-network", text))
    return found


def _measured(place: Place) -> list[Warned]:
    if place.unit == "gpu":
        return []
    text = (
        "the FLOP/s were measured while reading prompts, which is forward work only; training "
        "also writes gradients and the optimizer's state, and achieves less"
    )
    return [Warned("measured-by-inference", text)]


def _tokens(parameters: float, tokens: float) -> list[Warned]:
    each, many = tokens / parameters, MANY_TOKENS_PER_PARAMETER
    if each >= _FEW_TOKENS_PER_PARAMETER:
        return []
    text = (
        f"{each:.3g} tokens for each parameter are few: {many:g} make the most of given operations "
        f"(Hoffmann et al., 2022). With {spoken(many * parameters)} tokens it takes "
        f"{counted(many / each)} times as much"
    )
    return [Warned("few-tokens", text)]


def _memory_words(need: float) -> str:
    return (
        f"weights, gradients and Adam's state take {spoken_bytes(need)} "
        f"({BYTES_PER_PARAMETER} bytes for each parameter in mixed precision, activations apart)"
    )


def _many(number: int, place: Place) -> str:
    word = "GPU" if place.unit == "gpu" else "machine"
    return f"{counted(number)} {word}{'' if number == 1 else 's'}"

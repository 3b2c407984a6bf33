"""Memory by name (`memory`, `GPU 0`, `host memory`): their sums, and what fits; pure."""

from __future__ import annotations

from collections.abc import Mapping

from byoi_agent.sizes import in_memory

Amounts = Mapping[str, int]
"""Bytes by the name of the memory; a name that is not there counts as none."""


def plus(*amounts: Amounts) -> dict[str, int]:
    """All of them together."""
    names = {name: None for each in amounts for name in each}  # in their order
    return {name: sum(each.get(name, 0) for each in amounts) for name in names}


def minus(whole: Amounts, part: Amounts) -> dict[str, int]:
    """What is left; below zero where `part` has more."""
    return plus(whole, {name: -count for name, count in part.items()})


def most(one: Amounts, other: Amounts) -> dict[str, int]:
    """Of each memory the larger of the two."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in (*one, *other)}


def fits(taken: Amounts, budget: Amounts) -> bool:
    """Whether there is enough of each."""
    return all(count <= budget.get(name, 0) for name, count in taken.items())


def excess(taken: Amounts, budget: Amounts, others: Amounts | None = None) -> str | None:
    """Of what there is too little, in words; None where it fits.

    `others` is what of it other programs hold.
    """
    for name, count in taken.items():
        there, held = budget.get(name, 0), (others or {}).get(name, 0)
        if count > there:
            return f"{in_memory(count)} of {name}, of which there is {in_memory(there)}"
        if count > there - held:
            left = in_memory(max(0, there - held))
            return f"{in_memory(count)} of {name}, of which other programs leave {left}"
    return None

"""Numbers on the command line: `405B` as people write it, and nothing that is none."""

from __future__ import annotations

import click

from byoi_agent.planning import quantities


class Number(click.ParamType[float]):
    """A number above zero (or not below it), within what can be meant."""

    name = "number"
    may_be_zero = False

    def __init__(self, *, least: float = 0.0, most: float = quantities.LARGEST) -> None:
        self._least = least
        self._most = most

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """From what was typed; a default is one already."""
        if isinstance(value, float):
            return value
        try:
            number = quantities.parse(str(value), may_be_zero=self.may_be_zero)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not self._least <= number <= self._most:
            self.fail(f"{value} is not from {self._least:g} to {self._most:g}", param, ctx)
        return number


class Share(Number):
    """A part of something, or several times as much; zero is one."""

    name = "share"
    may_be_zero = True

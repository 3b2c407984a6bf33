"""Every problem of a configuration file at once, each in a sentence and with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from byoi_agent.config.loading import from_environment, strays
from byoi_agent.config.settings import Settings, nearest, reason_of, variable_of
from byoi_agent.config.toml_file import BYTE_ORDER_MARK, UnfitFile, table_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """What is wrong, without the file's name; `line` counts from 1, None where none is to blame."""

    text: str
    line: int | None = None

    def told(self, file: Path) -> str:
        """The whole sentence, beginning with the place as compilers write it."""
        place = f"{file}" if self.line is None else f"{file}:{self.line}"
        return f"{place}: {self.text}"


def problems_of(file: Path) -> tuple[Problem, ...]:
    """All that is wrong with a file, in its own order; empty where `byoi run` would take it."""
    try:
        return problems_in(text_of(file))
    except UnfitFile as unfit:
        return (Problem(str(unfit)),)


def problems_in(text: str) -> tuple[Problem, ...]:
    """All that is wrong with a file of this content."""
    try:
        table = table_of(text)
    except UnfitFile as unfit:
        return (Problem(str(unfit), unfit.line),)
    unknown = [
        Problem(f"unknown key {key!r}{nearest(key, Settings.model_fields)}", line_of(key, text))
        for key in table
        if key not in Settings.model_fields
    ]
    known = {name: value for name, value in table.items() if name in Settings.model_fields}
    found = unknown + [
        Problem(f"{name}: {reason}", line_of(name, text)) for name, reason in _unfit(known)
    ]
    return tuple(sorted(found, key=lambda problem: problem.line or 0))


def problems_in_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """All that is wrong with the variables that are ours, or look as if they were."""
    unfit = _unfit(from_environment(environment))
    wrong = [f"the variable {variable_of(name)}: {reason}" for name, reason in unfit]
    return (*wrong, *strays(environment))


def line_of(key: str, text: str) -> int | None:
    """The line, from 1, that sets a top-level key or opens the table of that name."""
    spelt = rf"[\"']?{re.escape(key)}[\"']?"
    found = re.compile(rf"^[ \t]*(?:{spelt}[ \t]*[=.]|\[+[ \t]*{spelt}[ \t]*[\].])").match
    lines = enumerate(text.removeprefix(BYTE_ORDER_MARK).splitlines(), start=1)
    return next((number for number, line in lines if found(line)), None)


def _unfit(values: Mapping[str, object]) -> list[tuple[str, str]]:
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [(str(each["loc"][0]), reason_of(each)) for each in details]
    return []

"""Every problem of a configuration file at once, each in a sentence and with its line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from byoi_agent.config.settings import (
    Settings,
    from_environment,
    nearest,
    reason_of,
    strays,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")


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
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        return (Problem(f"cannot be read: {error.strerror}"),)
    except UnicodeDecodeError:
        return (Problem("is not text in UTF-8"),)
    return problems_in(text)


def problems_in(text: str) -> tuple[Problem, ...]:
    """All that is wrong with a file of this content."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT_LINE.search(str(error))
        return (Problem(f"is not valid TOML: {error}", int(at[1]) if at else None),)
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
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if found(line)), None)


def _unfit(values: Mapping[str, object]) -> list[tuple[str, str]]:
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return [(str(each["loc"][0]), reason_of(each)) for each in details]
    return []

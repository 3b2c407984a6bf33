"""What `byoi config check` says of engines that are set and that this byoi does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.config.check import Problem, line_of
from byoi_agent.config.settings import variable_of
from byoi_agent.config.toml_file import UnfitFile, table_of, text_of
from byoi_agent.engine.inventory import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ENGINE: Final = "engine"
_MODELS: Final = "models"


def with_engines(file: Path, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The file's problems, and the engines in it that nobody has, in the order of the lines."""
    try:
        text = text_of(file)
        table = table_of(text)
    except UnfitFile:
        return tuple(problems)  # told already
    found = list(problems)
    if not any(one.text.startswith(f"{_ENGINE}:") for one in problems):
        found += _problem(table.get(_ENGINE), _ENGINE, line_of(_ENGINE, text))
    models = table.get(_MODELS)
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict):
            told = f"{_MODELS}: engine of {model.get('model')!r}"
            found += _problem(model.get(_ENGINE), told, line_of(_MODELS, text))
    return tuple(sorted(found, key=lambda problem: problem.line or 0))


def engine_in_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with the variable, where it is one that a file could have as well."""
    variable = variable_of(_ENGINE)
    reason = unknown(environment.get(variable, ""))
    return () if reason is None else (f"the variable {variable}: {reason}",)


def _problem(setting: object, told: str, line: int | None) -> list[Problem]:
    reason = unknown(setting) if isinstance(setting, str) else None
    return [] if reason is None else [Problem(f"{told}: {reason}", line)]

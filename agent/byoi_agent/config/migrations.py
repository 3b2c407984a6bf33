"""What each version of the settings added or moved: read from older files, undone for older ones.

The file is its owner's, so an older one is never rewritten: names of before are understood as they
stand. For a roll-back, what the older version does not know becomes a comment in its own place,
marked with the number of the settings that know it; from that number on the line counts again.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.config.statements import (
    Statement,
    key_written,
    lines_of,
    statements_of,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Path = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One number further. Names are whole: `update.ring`; a table's name stands for all in it.

    `moved` leads from the name before to the present one. `choices` are values that a setting has
    taken since then only.
    """

    told: str
    added: frozenset[str] = frozenset()
    moved: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)


class BothSet(ValueError):
    """A setting is there by the name of before and by its present one; the message names both."""


STEPS: Final = (Step("the first settings"),)
"""The first one is what every version has known. A released step never changes."""

SETTINGS_SCHEMA: Final = len(STEPS)

_NOTHING: Final = object()
_TOP: Final = -1


def understood(table: dict[str, Any], steps: Sequence[Step] = STEPS) -> dict[str, Any]:
    """The same settings by their present names; `table` itself is changed.

    Raises:
        BothSet: one is there by both.
    """
    for step in steps:
        for old, new in step.moved.items():
            _move(table, old.split("."), new.split("."))
    return table


def renamed(name: str, step: Step) -> str:
    """The present name of a setting of the step before; also of one in a table that moved."""
    for old, new in sorted(step.moved.items(), key=lambda move: -move[0].count(".")):
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def for_older(text: str, schema: int, steps: Sequence[Step] = STEPS) -> str:
    """The file as a version with settings of that number takes it; done twice is done once.

    `text` has to be TOML.
    """
    newer = for_newer(text, steps)
    lines = _ended(newer)
    for number in range(len(steps), schema, -1):
        lines = _lowered(lines, steps[number - 1], number)
    return _ending_as(newer, lines)


def for_newer(text: str, steps: Sequence[Step] = STEPS) -> str:
    """The file with all that was set aside for older versions and is known here."""
    lines = _ended(text)
    if "#[settings " not in text or not _is_toml(lines):
        return text
    for number, step in enumerate(steps, 1):
        if any(line.startswith(_aside(number)) for line in lines):
            lines = _lifted(lines, step, number)
    return _ending_as(text, lines)


def _ended(text: str) -> list[str]:
    """Its lines, the last one with an end as well: others may come behind it."""
    return lines_of(text if text.endswith("\n") else f"{text}\n")


def _ending_as(text: str, lines: Sequence[str]) -> str:
    changed = "".join(lines)
    return changed if text.endswith("\n") else changed.removesuffix("\n")


def _aside(number: int) -> str:
    return f"#[settings {number}] "


def _until(number: int) -> str:
    """Ends a line that stands in for one that was set aside."""
    return f"#[until settings {number}]"


# To older names, in a text


def _lowered(lines: Sequence[str], step: Step, number: int) -> list[str]:
    aside: set[int] = set()
    instead: dict[int, list[str]] = {}
    for each, (place, line) in _changes(lines, step, number):
        aside |= set(range(each.first, each.after))
        if line:
            instead.setdefault(place, []).append(line)
    result = instead.get(_TOP, [])
    for at, line in enumerate([*lines, ""]):
        result += instead.get(at, [])
        result.append(_aside(number) + line if at in aside else line)
    return result[:-1]


def _changes(
    lines: Sequence[str], step: Step, number: int
) -> list[tuple[Statement, tuple[int, str]]]:
    """The statements that an older version does not take; before which line goes what instead."""
    statements = statements_of(lines)
    opened = {each.path: each.after for each in reversed(statements) if each.is_header}
    found = [(each, _instead(each, step, opened)) for each in statements]
    return [
        (each, (place, f"{text}  {_until(number)}\n" if text else ""))
        for each, (place, text) in found
        if text is not None
    ]


def _instead(each: Statement, step: Step, opened: Mapping[Path, int]) -> tuple[int, str | None]:
    """The place and the words of a statement's older form: none, or None where it may stay.

    What comes from another table goes back there; one that nobody has opened, by a dotted key at
    the top.
    """
    if _is_new(each.path, each.value, step):
        return each.first, ""
    path, header = _older_path(each.path, step), _older_path(each.header, step)
    if each.is_header:
        brackets = "[[{}]]" if each.is_array else "[{}]"
        return each.first, None if path == each.path else brackets.format(key_written(path))
    value = _older_value(each.path, each.value, step)
    if value == each.value and path == header + each.path[len(each.header) :]:
        return each.first, None
    is_inside = path[: len(header)] == header
    if path[:-1] in opened and not (is_inside and header):  # which no dotted key may add to
        place, key = opened[path[:-1]], path[-1:]
    elif is_inside:
        place, key = each.first, path[len(header) :]
    else:
        place, key = _TOP, path
    return place, f"{key_written(key)} = {written(value)}"


def _is_new(path: Path, value: object, step: Step) -> bool:
    names = [".".join(path[:count]) for count in range(1, len(path) + 1)]
    is_choice = isinstance(value, str) and value in step.choices.get(names[-1], ())
    return is_choice or not step.added.isdisjoint(names)


def _older_path(path: Path, step: Step) -> Path:
    """The most precise way counts: of a table that moved, one setting may come from elsewhere."""
    moves = sorted(step.moved.items(), key=lambda move: -move[1].count("."))
    for old, new in moves:
        present = tuple(new.split("."))
        if path[: len(present)] == present:
            return (*old.split("."), *path[len(present) :])
    return path


def _older_value(path: Path, value: object, step: Step) -> object:
    """A value without what was added inside of it: of tables that are written between brackets."""
    if isinstance(value, list):
        return [_older_value(path, each, step) for each in value]
    if isinstance(value, dict):
        return {
            _older_path((*path, name), step)[-1]: _older_value((*path, name), each, step)
            for name, each in value.items()
            if not _is_new((*path, name), each, step)
        }
    return value


# And back


def _lifted(lines: Sequence[str], step: Step, number: int) -> list[str]:
    """What was set aside counts again, unless its owner has since said otherwise."""
    aside, until = _aside(number), _until(number)
    present = [line for line in lines if not line.rstrip().endswith(until)]
    whole = [line.removeprefix(aside) for line in present]
    if _is_toml(whole) and _lowered(whole, step, number) == list(lines):
        return whole
    merged = _merged(lines, step, number)
    return merged if _is_toml(merged) else list(lines)


def _merged(lines: Sequence[str], step: Step, number: int) -> list[str]:
    """As `_lifted`, where stand-ins were changed or taken out, or a setting was made anew."""
    aside, until = _aside(number), _until(number)
    whole = [line.removeprefix(aside) for line in lines]
    anew = {each.path for each in statements_of(lines) if not each.is_header}
    result: list[str | None] = [
        line.replace(until, "").rstrip() + "\n" if until in line else line for line in lines
    ]
    older = {each.first: line for each, (_, line) in _changes(whole, step, number)}
    for each in statements_of(whole):
        if not lines[each.first].startswith(aside):
            continue
        line, span = older.get(each.first, ""), slice(each.first, each.after)
        if line and line not in lines:
            result[span] = [None] * (each.after - each.first)
        elif each.path not in anew:
            result[span] = whole[span]
            if line:
                result[lines.index(line)] = None
    return [line for line in result if line is not None]


def _is_toml(lines: Sequence[str]) -> bool:
    try:
        tomllib.loads("".join(lines))
    except (ValueError, RecursionError):
        return False
    return True


# To present names, in a table


def _move(table: object, old: Sequence[str], new: Sequence[str]) -> None:
    if isinstance(table, list):
        for each in table:
            _move(each, old, new)
    elif isinstance(table, dict) and len(old) > 1 and len(new) > 1 and old[0] == new[0]:
        _move(table.get(old[0]), old[1:], new[1:])
    elif isinstance(table, dict) and (value := _taken(table, old)) is not _NOTHING:
        for part in new[:-1]:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table
        if not isinstance(table, dict) or new[-1] in table:
            raise BothSet(f"{'.'.join(old)!r} is called {'.'.join(new)!r} now, and both are set")
        table[new[-1]] = value


def _taken(table: dict[str, Any], path: Sequence[str]) -> object:
    for part in path[:-1]:
        inner = table.get(part)
        if not isinstance(inner, dict):
            return _NOTHING
        table = inner
    return table.pop(path[-1], _NOTHING)

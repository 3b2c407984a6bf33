"""The statements of a TOML text and the lines that each takes, for changes that keep the rest."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tomlkit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MARKS: Final[Mapping[str, re.Pattern[str]]] = {
    "": re.compile(r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|#.*|[][{}]"""),
    '"""': re.compile(r'\\.|"{3,5}', re.DOTALL),
    "'''": re.compile(r"'{3,5}"),
}
"""What counts in a line for where a value ends: outside of texts, and in those of many lines."""


@dataclass(frozen=True)
class Statement:
    """A header, or a key with its value, on the lines from `first` up to but not with `after`.

    `path` is the whole way to it from the top; `header` is the way to the table that it stands in.
    `is_array`: a header in double brackets.
    """

    first: int
    after: int
    header: tuple[str, ...]
    path: tuple[str, ...]
    value: Any = None
    is_header: bool = False
    is_array: bool = False


def lines_of(text: str) -> list[str]:
    """Each with its end; unlike `splitlines`, only where TOML sees one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def statements_of(lines: Sequence[str]) -> list[Statement]:
    """What a text that is TOML says; comments and empty lines belong to no statement."""
    found: list[Statement] = []
    header: tuple[str, ...] = ()
    at = 0
    while at < len(lines):
        word = lines[at].lstrip()
        if not word.strip() or word.startswith("#"):
            at += 1
            continue
        after, table = _whole(lines, at)
        path, value = _innermost(table)
        if word.startswith("["):
            header = path
            is_array = word.startswith("[[")
            found.append(Statement(at, after, path, path, is_header=True, is_array=is_array))
        else:
            found.append(Statement(at, after, header, (*header, *path), value))
        at = after
    return found


def written(value: Any) -> str:  # noqa: ANN401 whatever TOML has
    """A value on one line."""
    if isinstance(value, dict):
        inside = ", ".join(
            f"{key_written((key,))} = {written(each)}" for key, each in value.items()
        )
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(written(each) for each in value)}]"
    text: str = tomlkit.item(value).as_string()
    return text


def key_written(path: Sequence[str]) -> str:
    """A key as TOML has it, with dots between its parts."""
    return ".".join(tomlkit.key(part).as_string() for part in path)


def _whole(lines: Sequence[str], at: int) -> tuple[int, dict[str, Any]]:
    """Where the statement that begins there ends, and what it says: a value may take many lines."""
    after = _after(lines, at)
    try:
        return after, tomllib.loads("".join(lines[at:after]))
    except tomllib.TOMLDecodeError:
        return len(lines), {}


def _after(lines: Sequence[str], at: int) -> int:
    """Behind the first line that leaves no bracket and no text of many lines open."""
    depth, quote = 0, ""
    for number in range(at, len(lines)):
        depth, quote = _read(lines[number], depth, quote)
        if not quote and depth <= 0:
            return number + 1
    return len(lines)


def _read(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets are open behind a line, and the quotes of the text that goes on there."""
    place = 0
    while (found := _MARKS[quote].search(line, place)) is not None:
        mark, place = found.group(), found.end()
        if quote:
            quote = "" if mark.startswith(quote) else quote
        elif mark in _MARKS:
            quote = mark
        else:
            depth += (mark in "[{") - (mark in "]}")
    return depth, quote


def _innermost(table: dict[str, Any]) -> tuple[tuple[str, ...], Any]:
    path: tuple[str, ...] = ()
    value: Any = table
    while isinstance(value, dict) and len(value) == 1:
        ((name, value),) = value.items()
        path = (*path, name)
    return path, value

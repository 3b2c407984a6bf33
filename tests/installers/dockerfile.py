"""Reads a Dockerfile: as much of its language as ours uses, and an error for the rest."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWN = frozenset(
    {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL"}
    | {"RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class UnknownError(Exception):
    """Something that this reader would have to guess at."""


@dataclass(frozen=True)
class Instruction:
    """One line, continued ones joined; `flags` are its `--name=value`, in order."""

    name: str
    text: str
    flags: tuple[tuple[str, str], ...] = ()

    def flag(self, name: str) -> str | None:
        return next((value for key, value in self.flags if key == name), None)

    def words(self) -> list[str]:
        """A JSON list, or words as a shell has them."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return shlex.split(self.text)

    def pairs(self) -> list[tuple[str, str]]:
        """Of ENV, LABEL and ARG: `name=value`, an ARG without value has an empty one."""
        split = [word.partition("=") for word in shlex.split(self.text)]
        return [(name, value) for name, _, value in split]


@dataclass
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


def stages(text: str, arguments: Mapping[str, str]) -> list[Stage]:
    """All of a file, with `arguments` in place of the defaults of the ARGs before the first FROM.

    Raises:
        UnknownError: an instruction is none that this reads.
    """
    found: list[Stage] = []
    outer: dict[str, str] = {}
    for line in _lines(text):
        name, _, rest = line.partition(" ")
        name, rest = name.upper(), rest.strip()
        if name == "FROM":
            words = substitute(rest, outer).split()
            if len(words) != 3 or words[1].upper() != "AS":
                raise UnknownError(f"FROM {rest}: a stage has a name here")
            found.append(Stage(words[0], words[2]))
        elif name not in KNOWN:
            raise UnknownError(line)
        elif not found:
            ((argument, default),) = Instruction(name, rest).pairs()
            outer[argument] = arguments.get(argument, default)
        else:
            found[-1].instructions.append(_instruction(name, rest))
    return found


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Put variables in; an unknown one is empty, as in Docker."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def _lines(text: str) -> list[str]:
    kept = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return re.sub(r"\\\n\s*", "", "\n".join(kept)).splitlines()


def _instruction(name: str, rest: str) -> Instruction:
    flags = []
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        flags.append((found[1], found[2]))
        rest = rest[found.end() :]
    return Instruction(name, rest, tuple(flags))

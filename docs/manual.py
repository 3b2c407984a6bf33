"""Manual pages read off the commands: `python docs/manual.py FOLDER` writes byoi.1 and the others.

`click-man` sees no command of a group that loads them by name, and tells neither arguments nor
examples; what a page needs besides is a few lines of roff (groff_man(7)).
"""
# ruff: noqa: INP001 (the documentation is no package)

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.main import EXIT_CODES
from byoi_agent.cli.program import byoi

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = "byoi"
_ENVIRONMENT = {
    "BYOI_CONTROL_URL": "Address of the running node that commands ask; needs the next one beside "
    "it.",
    "BYOI_CONTROL_TOKEN": "The token of that node.",
    "BYOI_CONFIG": "The configuration file, instead of the usual place.",
    "BYOI_...": "Each setting, as BYOI_ with its name in capitals; see: byoi config show.",
    "NO_COLOR": "If set to anything, nothing is coloured.",
}


def pages() -> dict[str, str]:
    """Each page's text by its file's name."""
    context = click.Context(byoi, info_name=_PROGRAM)
    commands = {name: byoi.get_command(context, name) for name in byoi.list_commands(context)}
    found = {name: command for name, command in commands.items() if command is not None}
    made = {f"{_PROGRAM}.1": "\n".join(_program(found))}
    for name, command in found.items():
        words = f"{_PROGRAM}-{name}"
        made[f"{words}.1"] = "\n".join(_page(name, command))
    return made


def _program(commands: dict[str, click.Command]) -> Iterator[str]:
    yield from _head(_PROGRAM, byoi)
    yield ".SH SYNOPSIS"
    yield f".B {_PROGRAM}\n[\\-\\-debug] COMMAND [OPTIONS] [ARGUMENTS]"
    yield from _description(byoi)
    yield ".SH COMMANDS"
    for name, command in commands.items():
        yield f".TP\n.BR {_PROGRAM}\\-{_roff(name)} (1)\n{_roff(_first_sentence(command))}"
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield f".TP\n.B {code}\n{_roff(meaning)}"
    yield ".SH ENVIRONMENT"
    for name, meaning in _ENVIRONMENT.items():
        yield f".TP\n.B {_roff(name)}\n{_roff(meaning)}"


def _page(name: str, command: click.Command) -> Iterator[str]:
    yield from _head(f"{_PROGRAM}-{name}", command)
    yield ".SH SYNOPSIS"
    words = f"{_PROGRAM} {name}"
    if not isinstance(command, click.Group):
        yield from _body(words, command)
        return
    yield f".B {words}\nCOMMAND [OPTIONS] [ARGUMENTS]"
    yield from _description(command)
    for each in command.list_commands(click.Context(command)):
        found = command.get_command(click.Context(command), each)
        if found is not None:
            yield f".SH {_roff(f'{words} {each}').upper()}"
            yield from _body(f"{words} {each}", found, is_part=True)
    yield from _see_also()


def _head(title: str, command: click.Command) -> Iterator[str]:
    version = importlib.metadata.version("byoi-agent")
    # For builds that shall be the same again: https://reproducible-builds.org/specs/source-date-epoch/
    built = int(os.environ.get("SOURCE_DATE_EPOCH", datetime.now(UTC).timestamp()))
    day = datetime.fromtimestamp(built, UTC).strftime("%Y-%m-%d")
    yield f'.TH "{title.upper()}" "1" "{day}" "byoi {version}" "byoi"'
    yield f".SH NAME\n{_roff(title)} \\- {_roff(_first_sentence(command).rstrip('.'))}"


def _body(words: str, command: click.Command, *, is_part: bool = False) -> Iterator[str]:
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join(_argument(each) for each in arguments)
    yield f".B {_roff(words)}\n[OPTIONS] {_roff(usage)}".rstrip()
    yield from _paragraphs(command.help or "") if is_part else _description(command)
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        yield ".PP" if is_part else ".SH OPTIONS"
        for option in options:
            yield from _option(option)
    if command.epilog:
        yield ".PP" if is_part else ".SH MORE"
        yield from _paragraphs(command.epilog)
    if not is_part:
        yield from _see_also()


def _description(command: click.Command) -> Iterator[str]:
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")


def _see_also() -> Iterator[str]:
    yield f".SH SEE ALSO\n.BR {_PROGRAM} (1)"


def _argument(argument: click.Argument) -> str:
    name = (argument.metavar or argument.name or "").upper()
    shown = f"{name}..." if argument.nargs != 1 else name
    return shown if argument.required else f"[{shown}]"


def _option(option: click.Option) -> Iterator[str]:
    names = ", ".join(f"\\fB{_roff(name)}\\fP" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag:
        names += f" \\fI{_roff(_kind(option))}\\fP"
    yield f".TP\n{names}\n{_roff(' '.join((option.help or '').split()))}"


def _kind(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    return str(option.metavar or option.type.name).upper()


def _paragraphs(text: str) -> Iterator[str]:
    """As click reads it: a line of a backspace begins a paragraph whose lines stay as they are."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = block.split("\n")
        if lines[0].strip() == "\b":
            told = "\n".join(_roff(line) for line in lines[1:])
            yield f".PP\n.nf\n{told}\n.fi"
        else:
            yield f".PP\n{_roff(' '.join(line.strip() for line in lines))}"


def _first_sentence(command: click.Command) -> str:
    first = inspect.cleandoc(command.help or "").split("\n\n")[0]
    return " ".join(first.split())


def _roff(text: str) -> str:
    """Text as roff takes it: nothing of it a request, no dash a hyphen."""
    told = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        f"\\&{line}" if line.startswith((".", "'")) else line for line in told.split("\n")
    )


def main(folder: Path) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(f"{text}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

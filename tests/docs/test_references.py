"""The reference pages are what the programs say, and every command that a page shows exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if "reference" not in path.parts
)
FENCE = re.compile(r"^```(sh|console|ini|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:byoi|byoi-console) [^`\n]+)`")
CUT = {"|", "&&", "||", ";", "&", ">", "2>", "<"}


@pytest.mark.parametrize(
    "page",
    [
        "cli.md",
        "configuration.md",
        "control-api.md",
        "exit-codes.md",
        "http.md",
        "json.md",
        "metrics.md",
    ],
)
def test_a_reference_page_is_what_the_programs_say(generate, docs, page):
    text = (docs / "reference" / page).read_text()
    assert generate.filled(f"reference/{page}", text) == text, "run: python docs/generate.py"


def lines_of(kind: str, block: str):
    """The command lines of a fenced block; in `console` those after a prompt."""
    for line in block.replace("\\\n", " ").splitlines():
        if kind == "console":
            if line.startswith(("$ ", "# ")):
                yield line[2:]
        elif kind == "ini":
            if line.startswith("Exec"):
                yield line.partition("=")[2]
        else:
            yield line


def calls_in(text: str):
    """Argument lists of our own programs, wherever a page shows them."""
    lines = [line for kind, block in FENCE.findall(text) for line in lines_of(kind, block)]
    for line in (*lines, *INLINE.findall(text)):
        if "byoi" not in line:
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # prose in a block
        yield from cut(words)


def cut(words: list[str]):
    found: list[str] | None = None
    for word in (*words, ";"):
        if word in CUT:
            if found is not None:
                yield found
            found = None
        elif found is not None:
            found.append(word)
        elif re.fullmatch(r"(\S*bin/)?(byoi|byoi-console)", word):
            found = [word.rpartition("/")[2]]


def fault_of(call: list[str], programs) -> str | None:
    """Why a call cannot be; None: it can."""
    command: click.Command = programs[call[0]]
    known = {"--help", "-h", "--version"} | options_of(command)
    for word in call[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            if not re.fullmatch(r"[a-z-]+", word):
                return None  # `byoi …`
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"{' '.join(call)}: there is no {word}"
            command = found
            known |= options_of(command)
        elif re.match(r"--?[a-z]", word) and (flag := word.partition("=")[0]) not in known:
            return f"{' '.join(call)}: there is no {flag}"
    return None


def options_of(command: click.Command) -> set[str]:
    return {
        name
        for param in command.params
        if isinstance(param, click.Option)
        for name in (*param.opts, *param.secondary_opts)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_exists(generate, page):
    programs = generate.references.PROGRAMS
    faults = [fault_of(call, programs) for call in calls_in(page.read_text())]
    assert not [fault for fault in faults if fault]


def test_a_command_that_is_none_would_be_noticed(generate):
    programs = generate.references.PROGRAMS
    text = "```sh\nsudo -u x .venv/bin/byoi run --no-such 1 | tee && byoi-console sreve\n```\n"
    first, second = calls_in(text)
    assert fault_of(first, programs).endswith("there is no --no-such")
    assert fault_of(second, programs).endswith("there is no sreve")
    assert list(calls_in("`byoi status --watch`")) == [["byoi", "status", "--watch"]]


def test_every_command_with_json_says_what_it_prints():
    from byoi_agent.cli.outputs import OUTPUTS
    from byoi_agent.cli.program import byoi

    def walk(command, words=()):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), (*words, name))
        if any("--json" in option.opts for option in command.params):
            yield " ".join(words)

    assert set(walk(byoi)) == set(OUTPUTS)

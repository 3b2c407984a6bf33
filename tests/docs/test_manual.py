"""Manual pages: one for each command, in roff that says what the commands say."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from byoi_agent.cli.main import COMMANDS, EXIT_CODES
from byoi_agent.cli.program import byoi

REQUESTS = {"TH", "SH", "TP", "PP", "B", "BR", "nf", "fi"}


@pytest.fixture(scope="module")
def pages(docs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, docs / "manual.py", folder], check=True, timeout=240)
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_the_program_and_each_command_have_a_page(pages):
    assert pages.keys() == {"byoi.1", *(f"byoi-{name}.1" for name in COMMANDS)}
    for name in COMMANDS:
        assert f"byoi\\-{name} (1)" in pages["byoi.1"]
    for code in EXIT_CODES:
        assert f".B {code}\n" in pages["byoi.1"]


def test_nothing_but_known_requests_begins_a_line_with_a_dot(pages):
    used = {word for page in pages.values() for word in re.findall(r"(?m)^\.(\w*)", page)}
    assert used <= REQUESTS
    assert not [name for name, page in pages.items() if re.search(r"(?m)^'", page)]


def test_every_option_that_help_shows_is_on_its_page(pages):
    context = click.Context(byoi)
    for name in COMMANDS:
        command = byoi.get_command(context, name)
        parts = [command]
        if isinstance(command, click.Group):
            parts = [command.get_command(context, each) for each in command.list_commands(context)]
        for part in parts:
            for option in part.params:
                if isinstance(option, click.Option) and not option.hidden:
                    assert option.opts[-1].replace("-", "\\-") in pages[f"byoi-{name}.1"]

"""The command `byoi-console`, its commands, and what its exit codes mean."""

from __future__ import annotations

import sys
import traceback
from typing import Final

import click
from sqlalchemy.exc import SQLAlchemyError

from byoi_console.cli.admin import admin
from byoi_console.cli.backup import backup, restore
from byoi_console.cli.config import config
from byoi_console.cli.serve import serve
from byoi_console.errors import ConfigError, ConsoleError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SOFTWARE: Final = 70
EXIT_CONFIG: Final = 78

EXIT_CODES: Final[dict[int, str]] = {
    0: "done; of `byoi-console serve`: stopped as it was told to",
    EXIT_FAILED: "it failed; the sentence on standard error says why",
    EXIT_USAGE: "the command line is wrong",
    EXIT_SOFTWARE: "a fault of byoi itself; its traceback comes with it, for the report",
    EXIT_CONFIG: "a setting is wrong; trying again changes nothing",
}
"""The documentation shows these."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="byoi-console")
def cli() -> None:
    """The console of byoi: nodes enrol here, and clients ask here in OpenAI's format."""


cli.add_command(serve)
cli.add_command(admin)
cli.add_command(backup)
cli.add_command(restore)
cli.add_command(config)


def main() -> None:
    """Run the command and leave with its exit code."""
    try:
        cli(prog_name="byoi-console")
    except Exception as error:  # noqa: BLE001 the process's edge: every end gets its code
        sys.exit(_ended_by(_cause(error)))


def _ended_by(error: BaseException) -> int:
    if isinstance(error, SQLAlchemyError):
        # The driver's own words: the statement around them says nothing to an operator.
        why = getattr(error, "orig", None) or type(error).__name__
        click.echo(f"byoi-console: the database cannot be used: {why}", err=True)
        return EXIT_FAILED
    if isinstance(error, ConsoleError | OSError):
        click.echo(f"byoi-console: {error}", err=True)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED
    traceback.print_exception(error)
    click.echo("byoi-console: a fault of byoi itself; please report it with the above", err=True)
    return EXIT_SOFTWARE


def _cause(error: BaseException) -> BaseException:
    """The error that a task group carries: the first, since it ended all the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

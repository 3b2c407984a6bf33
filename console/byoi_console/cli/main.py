"""The command `byoi-console`.

Exit codes: 0 done, 1 it failed (the sentence on stderr says why), 2 the command line is wrong,
78 a setting is wrong (trying again changes nothing).
"""

from __future__ import annotations

import sys
from typing import Final

import click

from byoi_console.cli.admin import admin
from byoi_console.cli.serve import serve
from byoi_console.errors import ConfigError, ConsoleError

EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="byoi-console")
def cli() -> None:
    """The console of byoi: nodes enrol here, and clients ask here in OpenAI's format."""


cli.add_command(serve)
cli.add_command(admin)


def main() -> None:
    """Run the command and leave with its exit code."""
    try:
        cli(prog_name="byoi-console")
    except ConfigError as error:
        click.echo(f"byoi-console: {error}", err=True)
        sys.exit(EXIT_CONFIG)
    except (ConsoleError, OSError) as error:
        click.echo(f"byoi-console: {error}", err=True)
        sys.exit(EXIT_FAILED)

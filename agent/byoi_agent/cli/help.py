"""`byoi help`: a command's help, or a topic that belongs to none of them."""

from __future__ import annotations

import json

import click

from byoi_agent.cli.main import EXIT_CODES

EXIT_CODES_TOPIC = "exit-codes"
JSON_TOPIC = "json"


@click.command(
    epilog="""\b
Examples:
  byoi help status
  byoi help exit-codes
  byoi help json models list
"""
)
@click.argument("topic", required=False)
@click.argument("words", nargs=-1)
@click.pass_context
def help(ctx: click.Context, topic: str | None, words: tuple[str, ...]) -> None:  # noqa: A001 - the command's own name
    """Show the help of a command, or of a topic: exit-codes, or json.

    With json and the words of a command: the JSON Schema of what it prints with --json.
    """
    parent = ctx.parent
    assert parent is not None, "there is no program around this command"
    if topic is None:
        click.echo(parent.get_help())
    elif topic == EXIT_CODES_TOPIC:
        for code, meaning in EXIT_CODES.items():
            click.echo(f"{code:>3}  {meaning.replace('`', '')}")
    elif topic == JSON_TOPIC:
        _show_schema(" ".join(words))
    else:
        _show(parent, topic)


def _show_schema(words: str) -> None:
    from byoi_agent.cli.outputs import OUTPUTS, schema_of  # noqa: PLC0415 it knows every room

    if words in OUTPUTS:
        click.echo(json.dumps(schema_of(words), indent=2))
    elif words:
        raise click.UsageError(
            f"{words!r} prints no JSON, or is no command; "
            f"byoi help {JSON_TOPIC} shows those that do"
        )
    else:
        for name in OUTPUTS:
            click.echo(name)


def _show(parent: click.Context, name: str) -> None:
    group = parent.command
    assert isinstance(group, click.Group), "commands are in a group"
    if (command := group.get_command(parent, name)) is None:
        raise click.UsageError(
            f"there is no command or topic {name!r}; byoi help shows the commands, "
            f"byoi help {EXIT_CODES_TOPIC} what the exit codes mean, byoi help {JSON_TOPIC} what "
            "programs read"
        )
    with click.Context(command, info_name=name, parent=parent) as ctx:
        click.echo(command.get_help(ctx))

"""`byoi help`: a command's help, or a topic that belongs to none of them."""

from __future__ import annotations

import click

from byoi_agent.cli.main import EXIT_CODES

EXIT_CODES_TOPIC = "exit-codes"


@click.command()
@click.argument("topic", required=False)
@click.pass_context
def help(ctx: click.Context, topic: str | None) -> None:  # noqa: A001 - the command's own name
    """Show the help of a command, or of the topic exit-codes."""
    parent = ctx.parent
    assert parent is not None, "there is no program around this command"
    if topic is None:
        click.echo(parent.get_help())
    elif topic == EXIT_CODES_TOPIC:
        for code, meaning in EXIT_CODES.items():
            click.echo(f"{code:>3}  {meaning.replace('`', '')}")
    else:
        _show(parent, topic)


def _show(parent: click.Context, name: str) -> None:
    group = parent.command
    assert isinstance(group, click.Group), "commands are in a group"
    if (command := group.get_command(parent, name)) is None:
        raise click.UsageError(
            f"there is no command or topic {name!r}; byoi help shows the commands, "
            f"byoi help {EXIT_CODES_TOPIC} what the exit codes mean"
        )
    with click.Context(command, info_name=name, parent=parent) as ctx:
        click.echo(command.get_help(ctx))

"""`byoi version`: which agent this is."""

from __future__ import annotations

import importlib.metadata
import json
import platform

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def version(*, as_json: bool) -> None:
    """Show the agent's version and the link's protocol."""
    from byoi_wire.version import PROTOCOL_VERSION  # noqa: PLC0415 only when it is shown

    facts = {
        "version": importlib.metadata.version("byoi-agent"),
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
    }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"byoi {facts['version']} ({facts['protocol']}, Python {facts['python']})")

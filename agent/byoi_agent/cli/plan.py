"""`byoi plan`: what fits on this machine, and what training would take."""

from __future__ import annotations

import importlib
from typing import Final

import click

PLANS: Final = {"models": "plan_models", "serve": "plan_serve", "train": "plan_train"}
"""Each command with the file that holds it, imported when it is typed."""


class Plans(click.Group):
    """Finds its commands by `PLANS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, for `--help`."""
        del ctx
        return sorted(PLANS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in PLANS:
            return None
        command = getattr(importlib.import_module(f"byoi_agent.cli.{PLANS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Plans)
def plan() -> None:
    """Reckon before you load: what fits here, and what training would take."""

"""`byoi config set|unset|edit|schema`: the owner's file changed with its comments left alone."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from byoi_agent.cli.elsewhere import node_elsewhere
from byoi_agent.cli.options import (
    choose,
    choose_to_ask,
    debug_option,
    json_option,
    place_of,
    setting_options,
)
from byoi_agent.config.check import problems_of
from byoi_agent.config.edit import put_text, text_in
from byoi_agent.config.files import make_private_folder
from byoi_agent.config.settings import Settings, variable_of
from byoi_agent.control.instances import Instance, find
from byoi_agent.control.routing import Refusal
from byoi_agent.control.schema import ReloadReport
from byoi_agent.control.settings_desk import SettingsDesk, settable
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_agent.control.config_words import SettingChange

_BELOW_ZERO: Final = re.compile(r"-[0-9.][0-9.eE+-]*")


class _TakesNumbers(click.Command):
    """A command whose argument may be a number below zero, which is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any command, with such numbers behind all options."""
        below = [] if "--" in args else [each for each in args if _BELOW_ZERO.fullmatch(each)]
        if below:
            args = [*(each for each in args if each not in below), "--", *below]
        return super().parse_args(ctx, args)


def _complete_name(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=meaning)
        for name, meaning in settable().items()
        if name.startswith(incomplete)
    ]


@click.command(
    "set",
    cls=_TakesNumbers,
    epilog="""\b
Examples:
  byoi config set slots 4
  byoi config set idle.after_minutes 10
  byoi config set idle.programs '["blender", "steam*"]'

A value that is no number and no JSON is text. Tables of hours: byoi schedule; models: byoi models
serve.
""",
)
@click.argument("name", shell_complete=_complete_name)
@click.argument("value")
@setting_options("data_dir")
@json_option
@debug_option
def set_(name: str, value: str, *, as_json: bool, **flags: object) -> None:
    """Set NAME to VALUE in the configuration file, and have a running node take it over."""
    _change(name, _read(value), flags, as_json=as_json)


@click.command(epilog="Example: byoi config unset slots")
@click.argument("name", shell_complete=_complete_name)
@setting_options("data_dir")
@json_option
@debug_option
def unset(name: str, *, as_json: bool, **flags: object) -> None:
    """Take NAME out of the configuration file, so that its default holds."""
    _change(name, None, flags, as_json=as_json)


@click.command(
    epilog="The editor is that of VISUAL or EDITOR. What it leaves is put in place "
    "once it has no mistake, and is taken over by a running node."
)
@setting_options("data_dir")
@debug_option
def edit(**flags: object) -> None:
    """Open the configuration file in an editor; it is put in place once it has no mistake."""
    if (other := node_elsewhere(choose_to_ask(flags))) is not None:
        raise ConfigError(
            f"the node that runs has a file of its own, {other.config().file}; "
            "edit it as its account, or: byoi config set NAME VALUE"
        )
    file = place_of(flags)
    before = text_in(file)
    after = _edited(before, file)
    if after == before:
        click.echo(f"{file}: nothing changed")
        return
    put_text(file, after)
    click.echo(f"{file} is written")
    for node in running(flags):
        _tell_reload(node.client.reload())


@click.command()
@debug_option
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and other programs."""
    told = Settings.model_json_schema()
    click.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **told}))


def running(flags: dict[str, object]) -> tuple[Instance, ...]:
    """The node of this file, if one runs; a demo has files of its own."""
    chosen = choose_to_ask(flags)
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    return () if found.found_by == "demo" else found.nodes


def _read(text: str) -> object:
    """A number, a list or a text in JSON, else the text as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if value is None or isinstance(value, bool) else value


def _change(name: str, value: object, flags: dict[str, object], *, as_json: bool) -> None:
    nodes = running(flags)
    if nodes:
        change = nodes[0].client.put_setting(name, value)
    else:
        change = _without_node(name, value, flags)
    if as_json:
        click.echo(change.model_dump_json())
        return
    click.echo(f"{name} is {_shown(change, name)}")
    if nodes:
        _tell_reload(change.reloaded)
    else:
        click.echo("No node runs here; it holds when one is started: byoi run")
    if change.overruled_by is not None:
        variable = variable_of(name.partition(".")[0])
        who = variable if change.overruled_by == "environment" else "a flag of byoi run"
        click.echo(f"byoi: {who} is set and wins over the file", err=True)


def _without_node(name: str, value: object, flags: dict[str, object]) -> SettingChange:
    file = place_of(flags)
    if not file.parent.is_dir():
        make_private_folder(file.parent)
    desk = SettingsDesk(
        loaded=lambda: choose(flags).loaded,
        held=lambda: choose(flags).settings,
        reload=ReloadReport,
        file=file,
    )
    try:
        return desk.put(name, value)
    except Refusal as refusal:
        raise ConfigError(str(refusal)) from refusal


def _shown(change: SettingChange, name: str) -> str:
    value = change.setting.value
    part = name.partition(".")[2]
    if part:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "as its default says"
    return value if isinstance(value, str) else json.dumps(value)


def _edited(before: str, file: Path) -> str:
    """What the editor leaves; asks again while it has mistakes."""
    with tempfile.TemporaryDirectory(prefix="byoi-") as folder:
        draft = Path(folder) / "config.toml"
        draft.write_bytes(before.encode())  # as bytes: its lines keep the ends that they have
        while True:
            click.edit(filename=str(draft))
            if not (problems := problems_of(draft)):
                return text_in(draft)
            for problem in problems:
                click.echo(problem.told(file), err=True)
            if not sys.stdin.isatty() or not click.confirm("Edit it again?", default=True):
                raise ConfigError(f"{file} is as it was")


def _tell_reload(report: ReloadReport) -> None:
    if report.now:
        click.echo(f"The running node has it: {', '.join(report.now)}")
    if report.at_restart:
        click.echo(f"At its next start: {', '.join(report.at_restart)}")

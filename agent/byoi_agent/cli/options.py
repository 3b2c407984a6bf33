"""What several commands take: settings as flags, `--json`, `--debug`; and what they mean."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TextIO, TypeVar

import click

from byoi_agent.config.loading import LoadedSettings, load
from byoi_agent.config.paths import Paths, config_file, default_config_file, resolve
from byoi_agent.config.settings import Settings, flag_of, variable_of
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_agent.cli.program import Invocation

PIPE_COLUMNS: Final = 160

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Chosen(NamedTuple):
    """The settings of this call, and the folders that they mean."""

    loaded: LoadedSettings
    paths: Paths

    @property
    def settings(self) -> Settings:
        """The values alone."""
        return self.loaded.values

    @property
    def is_data_dir_named(self) -> bool:
        """Whether the owner chose the data folder, and so the node."""
        return self.loaded.sources["data_dir"] != "default"


def choose(flags: dict[str, object]) -> Chosen:
    """Settle the settings of a command from its flags, the environment and the file.

    Raises:
        ConfigError: see `loading.load`.
    """
    loaded = settle(flags)
    for stray in loaded.strays:
        click.echo(f"byoi: {stray}", err=True)
    return Chosen(loaded, resolve(loaded.values, os.environ))


def settle(flags: dict[str, object]) -> LoadedSettings:
    """As `choose`, without a word to the terminal."""
    return load(flags, os.environ, default_config_file(_data_dir(flags), os.environ))


def choose_to_ask(flags: dict[str, object]) -> Chosen:
    """As `choose`, for commands that ask a running node: a wrong file must not stand in their way.

    Raises:
        ConfigError: a flag or a variable is wrong.
    """
    try:
        return choose(flags)
    except ConfigError as error:
        loaded = load(flags, os.environ, None)
        click.echo(f"byoi: {error}", err=True)
        return Chosen(loaded, resolve(loaded.values, os.environ))


def place_of(flags: Mapping[str, object]) -> Path:
    """The configuration file that a command with these flags reads, or would if it were there."""
    return config_file(_data_dir(flags), os.environ).absolute()


def setting_options(*names: str) -> Callable[[_Command], _Command]:
    """A flag for each of these settings; None where it was not given."""

    def decorate(command: _Command) -> _Command:
        for name in reversed(names):
            command = _setting_option(name)(command)
        return command

    return decorate


def debug_option(command: _Command) -> _Command:
    """`--debug` after the command's name as well as before it."""

    def note(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        invocation: Invocation | None = ctx.find_object(object)  # type: ignore[assignment]
        if value and invocation is not None:
            invocation.debug = True

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=note,
        help="Show the traceback of an error.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


def _data_dir(flags: Mapping[str, object]) -> Path | None:
    """Before there is a file, which cannot say where it lies itself."""
    named = flags.get("data_dir") or os.environ.get(variable_of("data_dir"))
    return Path(str(named)) if named else None


def _setting_option(name: str) -> Callable[[_Command], _Command]:
    field = Settings.model_fields[name]
    shown = "" if field.default is None else f"  [default: {field.default}]"
    return click.option(
        flag_of(name), name, type=_click_type(field.annotation), help=f"{field.description}.{shown}"
    )


def _click_type(annotation: Any) -> Any:  # noqa: ANN401 a field's annotation can be anything
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is Literal:
        return click.Choice([str(choice) for choice in typing.get_args(annotation)])
    # As text: click would make the folder one happens to be in of nothing.
    return click.Path(path_type=str) if annotation is Path else annotation


def width_of(stream: TextIO) -> int | None:
    """Columns for a table: the terminal's own, or plenty where a program reads line by line."""
    return None if stream.isatty() else PIPE_COLUMNS

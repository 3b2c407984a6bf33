"""Flags made of the settings, so that the two cannot say different things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click

from byoi_console.config import CONFIG_FILE, Settings, flag_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound="Callable[..., Any]")


def setting_options(*names: str) -> Callable[[Command], Command]:
    """Give a command `--config` and the flags of these settings; without names, of all.

    What was not given arrives as None, for `byoi_console.config.load`.
    """

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(Settings.model_fields)):
            command = _option(name, Settings.model_fields[name])(command)
        return click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"File with settings.  [default: {CONFIG_FILE} in the data dir]",
        )(command)

    return decorate


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    told = f"{(field.description or '')[:1].upper()}{(field.description or '')[1:]}."
    kinds = get_args(field.annotation) or (field.annotation,)
    if bool in kinds:
        return click.option(flag_of(name), is_flag=True, default=None, help=told)
    if isinstance(field.default, float):
        told += f"  [default: {field.default:g}]"
    elif isinstance(field.default, str | int):
        told += f"  [default: {field.default}]"
    return click.option(flag_of(name), type=_type(field, kinds), default=None, help=told)


def _type(field: FieldInfo, kinds: tuple[Any, ...]) -> Any:  # noqa: ANN401 - whatever click takes
    if get_origin(field.annotation) is Literal:
        return click.Choice([str(kind) for kind in kinds])
    if Path in kinds:
        return click.Path(path_type=str)  # click would make the present folder of nothing
    return {int: click.INT, float: click.FLOAT}.get(kinds[0], click.STRING)

"""Changes one setting in the owner's file and leaves all else there as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError

from byoi_agent.config.check import problems_in
from byoi_agent.config.files import make_private_folder, rewrite
from byoi_agent.config.settings import Settings, nearest
from byoi_agent.config.toml_file import BYTE_ORDER_MARK, UnfitFile, table_of, text_of
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def set_value(file: Path, name: str, value: str | float | None) -> None:
    """Set `name` in `file`, or take it out with None; comments, order and rights stay.

    A file that is not there is made, for its owner alone. The whole result must be a file that
    `byoi run` takes, and it is put in place whole.

    Raises:
        ConfigError: there is no such setting, the value does not fit, or the file is wrong already
            or cannot be written; nothing has been changed.
    """
    if name not in Settings.model_fields:
        raise ConfigError(f"there is no setting {name!r}{nearest(name, Settings.model_fields)}")
    before = _read(file)
    after = _changed(before, name, value, file)
    if problems := problems_in(after):
        raise ConfigError(problems[0].told(file))
    if after != before:
        _write(file, after)


def _changed(text: str, name: str, value: str | float | None, file: Path) -> str:
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    try:
        table_of(text)
        document = tomlkit.parse(text.removeprefix(mark))
    except UnfitFile as unfit:
        raise ConfigError(f"{file} {unfit}") from unfit
    except TOMLKitError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    if value is None:
        document.pop(name, None)
    else:
        document[name] = value
    return mark + tomlkit.dumps(document)


def _read(file: Path) -> str:
    try:
        return text_of(file) if file.exists() else ""
    except UnfitFile as unfit:
        raise ConfigError(f"{file} {unfit}") from unfit


def _write(file: Path, text: str) -> None:
    if not file.parent.is_dir():
        make_private_folder(file.parent)
    try:
        rewrite(file, text.encode())
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error

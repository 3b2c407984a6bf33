"""Changes settings in the owner's file and leaves all else there as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from byoi_agent.config.check import problems_in
from byoi_agent.config.edit_schedule import put_schedule
from byoi_agent.config.files import make_private_folder, rewrite
from byoi_agent.config.migrations import understood
from byoi_agent.config.settings import Settings, nearest
from byoi_agent.config.toml_file import BYTE_ORDER_MARK, UnfitFile, table_of, text_of
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tomlkit import TOMLDocument
    from tomlkit.items import InlineTable, Table

    from byoi_agent.config.availability import Schedule


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
    _edit(file, lambda document: _put(document, name, value))


def set_in_table(file: Path, table: str, name: str, value: object) -> None:
    """Set `name` in [table] of `file`, or take it out with None. Raises as `set_value`."""

    def edit(document: TOMLDocument) -> None:
        found = document.get(table)
        if found is None and value is not None:
            document[table] = found = tomlkit.table()
        if found is not None:
            _put(found, name, value)

    _must_fit(file)
    _edit(file, edit)


def serve_model(file: Path, model: str, choices: Mapping[str, str | float | None]) -> bool:
    """Have `model` served, with these settings of its own; the answer says whether that is new.

    The only model is the setting `model`; a second one makes a [[models]] of each. What an entry
    holds already stays, but for what is chosen now; None takes a choice out. Raises as `set_value`.
    """
    added: list[bool] = []

    def edit(document: TOMLDocument) -> None:
        tables = document.get("models")
        only = document.get("model")
        if tables is None and only in {None, model}:
            added.append(only is None)
            for name, value in {"model": model, **choices}.items():
                _put(document, name, value)
            return
        if tables is None:
            document["models"] = tables = tomlkit.aot()
            tables.append(_table(tables, {"model": only}))
            document.pop("model")
        found = next((one for one in tables if one.get("model") == model), None)
        added.append(found is None)
        if found is None:
            tables.append(_table(tables, {"model": model}))
            found = tables[-1]
        for name, value in choices.items():
            _put(found, name, value)

    _must_fit(file)
    _edit(file, edit)
    return added[-1]


def unserve_model(file: Path, model: str) -> bool:
    """Have `model` served no more; the answer says whether it was. Raises as `set_value`."""
    removed: list[bool] = [False]

    def edit(document: TOMLDocument) -> None:
        if document.get("model") == model:
            document.pop("model")
            removed.append(True)
        tables = document.get("models") or []
        for at in reversed([n for n, one in enumerate(tables) if one.get("model") == model]):
            del tables[at]
            removed.append(True)
        if not tables:
            document.pop("models", None)

    if file.exists():
        _must_fit(file)
        _edit(file, edit)
    return removed[-1]


def set_schedule(file: Path, schedule: Schedule) -> None:
    """Have [schedule] say this; hours that stay are left as they are. Raises as `set_value`."""
    _must_fit(file)
    _edit(file, lambda document: put_schedule(document, schedule))


def text_in(file: Path) -> str:
    """What is written there; nothing in a file that is not there.

    Raises:
        ConfigError: it cannot be read, or is no text.
    """
    try:
        return text_of(file) if file.exists() else ""
    except UnfitFile as unfit:
        raise ConfigError(f"{file} {unfit}") from unfit


def put_text(file: Path, text: str) -> None:
    """Put a whole text in its place; a file that is not there is made, for its owner alone.

    Raises:
        ConfigError: it cannot be written.
    """
    if not file.parent.is_dir():
        make_private_folder(file.parent)
    try:
        rewrite(file, text.encode())
    except OSError as error:
        is_forbidden = isinstance(error, PermissionError)
        mend = "; do it as a user who may: sudo byoi …" if is_forbidden else ""
        raise ConfigError(f"{file} cannot be written: {error.strerror}{mend}") from error


def _must_fit(file: Path) -> None:
    """Tables are changed only where they are tables."""
    if problems := problems_in(text_in(file)):
        raise ConfigError(problems[0].told(file))


def _edit(file: Path, edit: Callable[[TOMLDocument], None]) -> None:
    before = text_in(file)
    after = _changed(before, edit, file)
    if problems := problems_in(after):
        raise ConfigError(problems[0].told(file))
    if after != before:
        put_text(file, after)


def _changed(text: str, edit: Callable[[TOMLDocument], None], file: Path) -> str:
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    try:
        table_of(text)
        document = tomlkit.parse(text.removeprefix(mark))
        understood(document)  # what is set now must not stand beside its name of before
        edit(document)
    except UnfitFile as unfit:
        raise ConfigError(f"{file} {unfit}") from unfit
    except TOMLKitError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    return mark + tomlkit.dumps(document)


def _put(table: TOMLDocument | Table | InlineTable, name: str, value: object) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _table(tables: object, content: Mapping[str, object]) -> Table | InlineTable:
    """As the others are written: `[[models]]` each, or within one pair of brackets."""
    table = tomlkit.table() if isinstance(tables, AoT) else tomlkit.inline_table()
    table.update(content)
    return table

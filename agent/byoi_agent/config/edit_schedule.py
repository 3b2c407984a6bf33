"""Puts a schedule into a document of settings, and leaves what stays as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.items import AoT

from byoi_agent.config.availability import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomlkit import TOMLDocument
    from tomlkit.items import Array, InlineTable, Table

    from byoi_agent.config.availability import Feed, Schedule


def put_schedule(document: TOMLDocument, schedule: Schedule) -> None:
    """Have [schedule] say this; hours that stay keep their place, their form and their comments."""
    table = document.get("schedule")
    if table is None:
        table = tomlkit.table()
        document["schedule"] = table
    _put_hours(table, "windows", schedule.windows)
    _put_hours(table, "quiet", schedule.quiet)
    _put_feed(table, "carbon", schedule.carbon)
    _put_feed(table, "price", schedule.price)
    if not table:
        document.pop("schedule")


def _put_hours(table: Table, name: str, wanted: Sequence[Window]) -> None:
    found = table.get(name)
    left = list(wanted)
    if found is not None:
        held = [Window.model_validate(one.unwrap()) for one in found]
        for at in reversed(range(len(held))):
            if held[at] in left:
                left.remove(held[at])
            else:
                del found[at]
    if left:
        found = _array(table, name) if found is None else found
        left.sort(key=wanted.index)
        for window in left:
            found.append(_entry(found, window))
    if found is not None and not len(found):
        table.pop(name)


def _array(table: Table, name: str) -> Array:
    array = tomlkit.array()
    array.multiline(multiline=True)
    table[name] = array
    found: Array = table[name]
    return found


def _entry(found: AoT | Array, window: Window) -> Table | InlineTable:
    """As the others are written: `[[schedule.windows]]` each, or within one pair of braces."""
    entry = tomlkit.table() if isinstance(found, AoT) else tomlkit.inline_table()
    entry.update(window.model_dump(mode="json", exclude_defaults=True))
    return entry


def _put_feed(table: Table, name: str, wanted: Feed | None) -> None:
    if wanted is None:
        table.pop(name, None)
        return
    said = wanted.model_dump(mode="json", exclude_defaults=True)
    found = table.get(name)
    if found is None:
        table[name] = tomlkit.table()
        found = table[name]
    for key in [key for key in found if key not in said]:
        del found[key]
    for key, value in said.items():
        if found.get(key) != value:
            found[key] = value

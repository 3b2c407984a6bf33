"""The number of what a node keeps on its disk: each step up has its way back, for a roll-back.

The number stands for all files of the state folder. Kept files of JSON take what they do not know
as nothing; where a later version changes one so that this no longer holds, it adds a step here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.config.files import read_private, write_private
from byoi_agent.config.paths import outbox_file
from byoi_agent.errors import ConfigError
from byoi_agent.usage import schema

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "state.json"

Change = Callable[["Path"], None]


@dataclass(frozen=True)
class Step:
    """One number further; each way may be gone twice, as power may go in the middle of it."""

    told: str
    up: Change
    down: Change


class StateTooNew(ConfigError):
    """A later version wrote this state; only that one may touch it."""


def _nothing(_state: Path) -> None:
    """The outbox brings itself up when it is opened."""


def _outbox_back_to(version: int) -> Change:
    def back(state: Path) -> None:
        file = outbox_file(state)
        if not file.exists():
            return
        with closing(sqlite3.connect(file, isolation_level=None, timeout=5.0)) as database:
            database.execute("PRAGMA synchronous = FULL")
            schema.step_back(database, version)

    return back


STEPS: Final = (
    Step("usage records", up=_nothing, down=_nothing),
    Step("energy and money of usage records", up=_nothing, down=_outbox_back_to(1)),
)
"""The first one is what every version has known. A released step never changes."""

STATE_SCHEMA: Final = len(STEPS)
OLDEST: Final = 1
"""How far back this version can bring a state; part of what a release says of itself."""


def number_of(state: Path) -> int:
    """Which state it is; that of this version where nothing is kept yet.

    Raises:
        ConfigError: the file cannot be understood.
    """
    file = state / FILE_NAME
    try:
        number = json.loads(read_private(file))["schema"]
    except FileNotFoundError:
        return STATE_SCHEMA if not outbox_file(state).exists() else OLDEST
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} cannot be understood; move it away") from error
    if not isinstance(number, int) or number < 1:
        raise ConfigError(f"{file} names no schema; move it away")
    return number


def bring_up(state: Path, steps: tuple[Step, ...] = STEPS) -> None:
    """Have the state be this version's, before any other part of the node looks at it.

    Raises:
        StateTooNew: a later version wrote it; nothing is changed.
        ConfigError: its number cannot be understood.
    """
    number = number_of(state)
    if number > len(steps):
        raise StateTooNew(
            f"a later version of byoi wrote {state} (schema {number}, this one knows "
            f"{len(steps)}); nothing was changed. Start the later version again, or have it go "
            "back by itself: byoi update --rollback"
        )
    for at, step in enumerate(steps[number:], number + 1):
        step.up(state)
        _write(state, at)
    if not (state / FILE_NAME).exists():
        with suppress(OSError):  # a full disk: what is there says the same
            _write(state, len(steps))


def bring_down(state: Path, to: int, steps: tuple[Step, ...] = STEPS) -> None:
    """Have the state be one that an older version reads, while no node runs from it.

    Raises:
        ConfigError: there is no way back that far, or a later version wrote it.
    """
    # Without its number it may be of any version; a step that was not gone up changes nothing down.
    number = number_of(state) if (state / FILE_NAME).exists() else len(steps)
    if number > len(steps):
        raise StateTooNew(f"{state} is of a later version of byoi, which must take it back")
    if to < OLDEST:
        raise ConfigError(f"no version can take {state} back to schema {to}")
    for at in range(number, to, -1):
        steps[at - 1].down(state)
        _write(state, at - 1)


def _write(state: Path, number: int) -> None:
    write_private(state / FILE_NAME, json.dumps({"schema": number}).encode())

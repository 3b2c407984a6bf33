"""What an update has come to, on the disk before the next step is begun; root's where root updates.

Nothing that a console or the service's account can write is read here: a journal names what runs
next on this machine.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError
from byoi_agent.update import machine
from byoi_agent.update.machine import Idle, Remember, State, Tell
from byoi_agent.update.told import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from byoi_agent.update.machine import Command

SCHEMA: Final = 1
KEPT_ENTRIES: Final = 50
_STATES: Final = {
    state.__name__: state
    for state in (
        machine.Idle,
        machine.Fetching,
        machine.Staging,
        machine.Draining,
        machine.Switching,
        machine.Proving,
        machine.Committing,
        machine.GoingBack,
    )
}


class Record(BaseModel):
    """Where the machine stands, what failed here and why, and what came of each update.

    `schemas` says which state a version keeps, `settings` which form of the settings it knows: one
    that does not run cannot be asked.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: int = Field(default=SCHEMA, alias="schema")
    state: dict[str, Any] = Field(default_factory=lambda: {"state": Idle.__name__})
    failed: dict[str, str] = Field(default_factory=dict)
    schemas: dict[str, int] = Field(default_factory=dict)
    settings: dict[str, int] = Field(default_factory=dict)
    history: tuple[Entry, ...] = ()


class Journal:
    """Sole owner of the file, in the one process that holds the update's lock."""

    def __init__(self, file: Path, wall: Callable[[], float]) -> None:
        self._file = file
        self._wall = wall
        self._record = self._read()

    @property
    def state(self) -> State:
        """Where the update stands."""
        return _state_of(self._record.state)

    @property
    def failed(self) -> dict[str, str]:
        """Versions that were taken back here, with why."""
        return dict(self._record.failed)

    @property
    def history(self) -> tuple[Entry, ...]:
        """What came of updates, oldest first."""
        return self._record.history

    @property
    def schemas(self) -> dict[str, int]:
        """Which state each version keeps, of those that were looked at."""
        return dict(self._record.schemas)

    @property
    def settings(self) -> dict[str, int]:
        """Which form of the settings each version knows, of those that were looked at."""
        return dict(self._record.settings)

    def learn(self, version: str, schema: int, settings: int) -> None:
        """Keep which state a version keeps, and which settings it knows. Raises as `write`."""
        record = self._record
        known = {
            "schemas": {**record.schemas, version: schema},
            "settings": {**record.settings, version: settings},
        }
        learnt = record.model_copy(update=known)
        if learnt != record:
            self._put(learnt)

    def write(self, state: State, commands: Iterable[Command] = ()) -> None:
        """Put a state on the disk, with what its commands say is to be kept; durable on return.

        Raises:
            OSError: the disk does not take it; the step must not be begun.
        """
        failed, history = dict(self._record.failed), list(self._record.history)
        for command in commands:
            match command:
                case Remember(version, why):
                    failed[version] = why
                case Tell(change, outcome, why):
                    if outcome == machine.DONE:
                        failed.pop(change.new, None)
                    if outcome == machine.STUCK and history and _is_same(history[-1], change):
                        history.pop()  # told each time it is tried; what was before is needed
                    history.append(
                        Entry(
                            at=self._wall(), old=change.old, new=change.new, outcome=outcome,
                            reason=why,
                        )
                    )  # fmt: skip
                case _:
                    continue
        kept = tuple(history[-KEPT_ENTRIES:])
        written = {"state": _written(state), "failed": failed, "history": kept}
        self._put(self._record.model_copy(update=written))

    def _put(self, record: Record) -> None:
        write_private(self._file, record.model_dump_json(by_alias=True, indent=1).encode())
        self._record = record

    def _read(self) -> Record:
        try:
            record = Record.model_validate_json(read_private(self._file))
            if record.schema_ > SCHEMA:
                raise ConfigError(f"{self._file} was written by a later version; use that one")
            _state_of(record.state)
        except FileNotFoundError:
            return Record()
        except (ValidationError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{self._file} cannot be understood, so that nobody knows whether an update is "
                "half done; install byoi again, then move that file away"
            ) from error
        return record


def _is_same(entry: Entry, change: machine.Change) -> bool:
    return (entry.outcome, entry.old, entry.new) == (machine.STUCK, change.old, change.new)


def _written(state: State) -> dict[str, Any]:
    return {"state": type(state).__name__, **dataclasses.asdict(state)}


def _state_of(written: dict[str, Any]) -> State:
    kind = _STATES[str(written["state"])]
    rest = {name: value for name, value in written.items() if name != "state"}
    adapter: TypeAdapter[State] = TypeAdapter(kind)
    return adapter.validate_json(json.dumps(rest))

"""The power limit of NVIDIA cards: given while the node serves, and the former one put back.

A limit outlives the process that set it, so what was there before is written down first, and put
back by the next start after a crash. One that somebody else has set meanwhile is theirs and stays.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.nvml import LIBRARY, import_pynvml
from byoi_agent.hardware.nvml_words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from byoi_agent.hardware.nvml_card import Foreign

CALL_SECONDS: Final = 10.0
"""How long the driver may take for all cards; one that hangs costs a thread and no more."""

_Answer = TypeVar("_Answer")


class _Kept(BaseModel):
    """Of one card, in milliwatts: the limit before ours, and ours.

    `is_others` says that somebody has set another one since.
    """

    model_config = ConfigDict(frozen=True)

    former: int
    ours: int
    is_others: bool = False


class _File(BaseModel):
    cards: dict[str, _Kept] = {}


@dataclass(frozen=True)
class LimitOutcome:
    """What could not be done, in words, and the commands that would do it as root."""

    problems: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a card is to be given: `set_to` in milliwatts, None: nothing; and what is then kept."""

    set_to: int | None = None
    keep: _Kept | None = None


def wanted_of(current: int, wish: int | None, kept: _Kept | None) -> Wanted:
    """What to do with a card of this limit; `wish` is None where the former one is to be back.

    All in milliwatts. A limit that is neither ours nor the former one is somebody else's.
    """
    if kept is not None and kept.is_others and wish not in {None, kept.ours}:
        kept = None  # a new wish of the owner's is newer than whoever set the limit
    if kept is not None and current not in {kept.ours, kept.former}:
        return Wanted(keep=None if wish is None else _others(kept))
    if wish is None:
        back = kept is not None and not kept.is_others and current != kept.former
        return Wanted(kept.former if kept is not None and back else None)
    if kept is not None and kept.is_others and kept.ours == wish:
        return Wanted(keep=kept)
    former = current if kept is None else kept.former
    if current == wish and kept is None:
        return Wanted()
    return Wanted(None if current == wish else wish, _Kept(former=former, ours=wish))


class Limits(Protocol):
    """Whoever gives cards their limit."""

    def give(self, watts: float | None) -> LimitOutcome: ...  # noqa: D102


@dataclass
class PowerLimits:
    """Sole owner of the limits that this node has set, and of the `file` that remembers them.

    Blocking: call it in a thread.
    """

    file: Path
    library: Callable[[], Foreign] = field(default=import_pynvml)

    def give(self, watts: float | None) -> LimitOutcome:
        """Have each card draw at most so much, or with None what it drew before.

        Never raises for a driver's fault: without a driver there is nothing to limit.
        """
        kept = self._read()
        if watts is None and not kept:
            return LimitOutcome()
        with LIBRARY:
            return self._asked(watts, kept)

    def _asked(self, watts: float | None, kept: Mapping[str, _Kept]) -> LimitOutcome:
        try:
            nvml = self.library()
            nvml.nvmlInit()
        except Exception as error:  # noqa: BLE001 a driver's library: whatever it raises is its state
            told = f"no NVIDIA driver answers: {words_of(error)}"
            return LimitOutcome() if watts is None else LimitOutcome((told,))
        try:
            return self._give_all(nvml, watts, kept)
        except OSError as error:
            told = f"{self.file} cannot be written: {error.strerror}; no limit is set without it"
            return LimitOutcome((told,))
        except Exception as error:  # noqa: BLE001 see above
            return LimitOutcome((f"the driver does not answer: {words_of(error)}",))
        finally:
            with suppress(Exception):  # its last word: what was done, or not, is told already
                nvml.nvmlShutdown()

    def _give_all(
        self, nvml: Foreign, watts: float | None, kept: Mapping[str, _Kept]
    ) -> LimitOutcome:
        problems, commands = [], []
        held = dict(kept)
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                self._give(nvml, index, watts, held)
            except _Refused as refused:
                problems.append(f"GPU {index}: {refused}")
                if refused.watts is not None:
                    commands.append(f"sudo nvidia-smi -i {index} -pl {refused.watts:g}")
            except nvml.NVMLError as error:
                problems.append(f"GPU {index}: {words_of(error)}")
        if watts is None and not problems:
            held.clear()  # cards that are not here any more have forgotten it themselves
        self._write(held)
        return LimitOutcome(tuple(problems), tuple(commands))

    def _give(self, nvml: Foreign, index: int, watts: float | None, held: dict[str, _Kept]) -> None:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = str(nvml.nvmlDeviceGetUUID(handle))
        if watts is None and name not in held:
            return
        wish, bound = None, None
        if watts is not None:
            wish, bound = self._bounded(nvml, handle, round(watts * 1000))
        wanted = wanted_of(nvml.nvmlDeviceGetPowerManagementLimit(handle), wish, held.get(name))
        before = held.pop(name, None)
        if wanted.keep is not None:
            held[name] = wanted.keep
        if wanted.set_to is not None:
            self._write({**held, **({name: before} if before and not wanted.keep else {})})
            try:
                nvml.nvmlDeviceSetPowerManagementLimit(handle, wanted.set_to)
            except nvml.NVMLError as error:
                held.pop(name, None)
                if before is not None:
                    held[name] = before
                raise _Refused(words_of(error), wanted.set_to / 1000) from error
        if bound is not None:
            raise _Refused(bound)

    def _bounded(self, nvml: Foreign, handle: Foreign, wish: int) -> tuple[int, str | None]:
        least, most = nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        given = min(max(wish, least), most)
        if given == wish:
            return wish, None
        told = f"it takes {least / 1000:g} to {most / 1000:g} W, so that it has {given / 1000:g}"
        return given, told

    def _read(self) -> dict[str, _Kept]:
        try:
            return _File.model_validate_json(read_private(self.file)).cards
        except (ConfigError, ValidationError, OSError):
            return {}

    def _write(self, cards: Mapping[str, _Kept]) -> None:
        if cards:
            write_private(self.file, _File(cards=dict(cards)).model_dump_json().encode())
        else:
            self.file.unlink(missing_ok=True)


def _others(kept: _Kept) -> _Kept:
    return kept.model_copy(update={"is_others": True})


class _Refused(Exception):
    """A card did not take the limit, or not all of it; `watts` where root might set it."""

    def __init__(self, text: str, watts: float | None = None) -> None:
        super().__init__(text)
        self.watts = watts


def in_thread(call: Callable[[], _Answer], name: str) -> Future[_Answer]:
    """Begin a call into a driver in a thread that may hang for ever without holding the process."""
    future: Future[_Answer] = Future()
    future.set_running_or_notify_cancel()  # it cannot be called back

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 it is told to whoever waits
            future.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future

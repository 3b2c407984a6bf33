"""Linux' own word of its power supplies, where no UPower runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER: Final = "sys/class/power_supply"
_MAINS: Final = frozenset({"Mains", "USB", "Wireless"})


class PowerSupplySensor:
    """Reads a few small files; `root` is the machine's `/`."""

    name = "power_supply"
    every_seconds = 3.0

    def __init__(self, root: Path = Path("/")) -> None:
        self.trouble: str | None = None
        self._folder = root / _FOLDER

    def on_change(self, tell: Callable[[], None]) -> None:
        """Files tell nobody."""

    async def read(self) -> MachineReading | None:
        """On battery or not; None where the machine has neither battery nor a plug that tells."""
        on_battery = await asyncio.to_thread(self._look)
        self.trouble = None if on_battery is not None else f"nothing in /{_FOLDER}"
        return None if on_battery is None else MachineReading(on_battery=on_battery)

    async def close(self) -> None:
        """Nothing is held."""

    def _look(self) -> bool | None:
        try:
            supplies = [_Supply.of(folder) for folder in sorted(self._folder.iterdir())]
        except OSError:
            return None
        return on_battery([supply for supply in supplies if supply.is_the_machines])


class _Supply:
    """One plug or battery; those of a mouse or a telephone are not the machine's."""

    def __init__(self, kind: str, *, is_online: bool, status: str, scope: str) -> None:
        self.is_mains = kind in _MAINS
        self.is_battery = kind in {"Battery", "UPS"}
        self.is_online = is_online
        self.is_discharging = status == "Discharging"
        self.is_the_machines = scope != "Device"

    @classmethod
    def of(cls, folder: Path) -> _Supply:
        return cls(
            _text(folder / "type"),
            is_online=_text(folder / "online") in {"1", "2"},
            status=_text(folder / "status"),
            scope=_text(folder / "scope"),
        )


def on_battery(supplies: list[_Supply]) -> bool | None:
    """Whether these feed the machine from a battery; None if they cannot tell.

    A laptop charged by USB-C shows several plugs, of which one is in use.
    """
    if any(one.is_mains and one.is_online for one in supplies):
        return False
    if any(one.is_battery and one.is_discharging for one in supplies):
        return True
    return False if any(one.is_battery or one.is_mains for one in supplies) else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # not every supply has every file

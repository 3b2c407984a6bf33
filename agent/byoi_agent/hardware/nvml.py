"""NVIDIA cards through NVML: the only importer of pynvml, in one thread of its own.

NVML's calls may block for seconds when a card falls off the bus, and its library keeps state per
process; so one thread at a time makes calls, and one that never returns costs threads only.
"""

from __future__ import annotations

import _ctypes
import logging
import threading
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware.devices import DeviceReading, ProbeReading, unread
from byoi_agent.hardware.host import process_name
from byoi_agent.hardware.looking import Looking
from byoi_agent.hardware.nvml_reading import read_cards
from byoi_agent.hardware.nvml_words import RELOAD, is_absence, is_mismatch, mend_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.hardware.nvml_card import Foreign

logger = logging.getLogger(__name__)

LIBRARY: Final = threading.Lock()
"""Held by whoever calls NVML: the binding may be replaced under nobody (`_unload`)."""

_UNLISTED: Final = "gone from the driver's list"
_UNLISTED_MEND: Final = (
    "look at its power cables, its heat and its slot, and for Xid in the kernel's log "
    "(journalctl -k), then restart the machine; if you took it out: restart byoi"
)


class NvmlProbe:
    """Sole owner of the NVML library in this process; `read` never raises for a driver's fault."""

    def __init__(
        self,
        library: Callable[[], Foreign] | None = None,
        name_of: Callable[[int], str | None] = process_name,
    ) -> None:
        self._library = library or import_pynvml
        self._name_of = name_of
        self._nvml: Foreign = None
        self._keeps_open = True
        self._known: dict[int, DeviceReading] = {}
        self._seen: dict[str, DeviceReading] = {}
        self._looking = Looking("the NVIDIA driver", self._look_alone, mend=RELOAD)

    async def read(self) -> ProbeReading:
        """One look at every card; a lost or hung driver is a `problem`, not an exception."""
        return await self._looking.read()

    def now(self) -> ProbeReading:
        """The same, waited for: to choose by what is here before anything runs."""
        return self._looking.now()

    def once(self) -> ProbeReading:
        """The same for who asks only once: the library is closed again.

        NVML counts who has it open, and is begun anew only when nobody has.
        """
        self._keeps_open = False
        return self._looking.now()

    def _look_alone(self) -> ProbeReading:
        with LIBRARY:
            return self._look()

    def _look(self) -> ProbeReading:
        """In the thread: (re)open the library where needed, then read card by card."""
        try:
            if self._nvml is None:
                library = self._library()
                library.nvmlInit()
                self._nvml = library
            reading = read_cards(self._nvml, self._known, self._name_of)
        except Exception as error:  # noqa: BLE001 a driver's library: whatever it raises is its state
            return self._driver_lost(error)
        self._seen |= {one.uuid: one for one in reading.devices if one.uuid}
        reading = with_missing(reading, self._seen)
        seen = {one.index: one for one in reading.devices}
        self._known = self._known | seen if reading.lost else seen
        if reading.lost or not self._keeps_open:
            self._close()  # a card that was reset is seen only by who begins anew
        return reading

    def _driver_lost(self, error: Exception) -> ProbeReading:
        """Forget the library, so that the next look starts afresh, and say what it was."""
        was_here = self._nvml is not None or bool(self._known)
        self._close()
        if not was_here and is_absence(error):
            return ProbeReading()
        if is_mismatch(error):
            _unload(self._library())
        words = words_of(error)
        return ProbeReading(
            problem=f"the NVIDIA driver cannot be read: {words}",
            mend=mend_of(error),
            lost=tuple(one.silent(words) for one in self._known.values()),
        )

    def _close(self) -> None:
        opened, self._nvml = self._nvml, None
        if opened is None:
            return
        try:
            opened.nvmlShutdown()
        except Exception as error:  # noqa: BLE001 the library is being given up; its last word
            logger.debug("nvml shutdown failed", extra={"error": str(error)})


def with_missing(reading: ProbeReading, seen: Mapping[str, DeviceReading]) -> ProbeReading:
    """The same, and as lost the cards seen earlier that the driver does not even list any more.

    The cards behind such a one may have moved up to its number; its `uuid` tells them apart.
    """
    listed = {one.uuid for one in (*reading.devices, *reading.lost)}
    missing = [one.silent(_UNLISTED) for uuid, one in seen.items() if uuid not in listed]
    if not missing:
        return reading
    return ProbeReading(
        reading.devices,
        "; ".join(filter(None, [reading.problem, unread(missing)])),
        "; ".join([*filter(None, [reading.mend]), _UNLISTED_MEND]),
        (*reading.lost, *missing),
    )


def _unload(library: Foreign) -> None:
    """Have the next look load the library of the driver that is installed by then.

    pynvml keeps the first one that it loaded for the life of the process, and has no call for this.
    """
    loaded = getattr(library, "nvmlLib", None)
    if loaded is None or not hasattr(_ctypes, "dlclose"):
        return
    library.nvmlLib = None
    library._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 see above
    _ctypes.dlclose(loaded._handle)  # noqa: SLF001


def import_pynvml() -> Foreign:
    """NVML's binding; a machine without a card never pays for it."""
    import pynvml  # noqa: PLC0415 see above

    return pynvml

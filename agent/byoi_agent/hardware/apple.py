"""Apple's chips through what macOS tells: their GPU computes in the machine's own memory."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.host import read_memory
from byoi_agent.hardware.looking import Looking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.hardware.host import MemoryUse

_PROFILE: Final = ("/usr/sbin/system_profiler", "-json", "SPDisplaysDataType")
_MEMORY: Final = ("/usr/sbin/sysctl", "-n", "hw.memsize")
_MEND: Final = "look at what this prints: system_profiler -json SPDisplaysDataType"
_SECONDS: Final = 8.0


class AppleProbe:
    """Sole owner of what the chip is, which is asked once; its memory is read at each look.

    Power and temperature are told to root alone, and so are None.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], str] | None = None,
        memory: Callable[[], MemoryUse] = read_memory,
    ) -> None:
        self._ask = ask or _run
        self._memory = memory
        self._chips: list[dict[str, Any]] | None = None
        self._total_bytes: int | None = None
        self._looking = Looking("macOS's list of GPUs", self._look, mend=_MEND)

    async def read(self) -> ProbeReading:
        """One look."""
        return await self._looking.read()

    def now(self) -> ProbeReading:
        """The same, waited for."""
        return self._looking.now()

    def _look(self) -> ProbeReading:
        if self._chips is None:
            told = json.loads(self._ask(_PROFILE)).get("SPDisplaysDataType", [])
            self._total_bytes = int(self._ask(_MEMORY))
            self._chips = [chip for chip in told if "Apple" in str(chip.get("spdisplays_vendor"))]
        return ProbeReading(tuple(self._read(i, chip) for i, chip in enumerate(self._chips)))

    def _read(self, index: int, chip: dict[str, Any]) -> DeviceReading:
        memory = self._memory()
        cores = str(chip.get("sppci_cores", ""))
        return DeviceReading(
            index=index,
            kind="apple",
            name=str(chip.get("sppci_model") or "Apple GPU"),
            memory_total_bytes=self._total_bytes,
            memory_used_bytes=memory.used_bytes,
            memory_free_bytes=memory.free_bytes,
            is_memory_unified=True,
            cores=int(cores) if cores.isdigit() else None,
            compute_capability=_metal(chip),
        )


def _metal(chip: dict[str, Any]) -> str | None:
    """The family of Metal, as in "spdisplays_metal3"."""
    told = str(chip.get("spdisplays_mtlgpufamilysupport", "")).removeprefix("spdisplays_")
    return told or None


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(  # noqa: S603 one of the two above
        command, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    return done.stdout

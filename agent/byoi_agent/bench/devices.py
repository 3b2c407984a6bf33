"""Of a machine's devices those that an engine computes on: what others draw is not its energy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware.host import ancestors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.hardware.devices import DeviceReading, ProbeReading
    from byoi_agent.hardware.watch import Probe

_COMPUTE_IN_THE_MACHINES_MEMORY: Final = frozenset({"cpu", "apple"})


class ItsDevices:
    """A probe that shows one engine's devices only.

    `pid` is its process, None where it is not known; one that `is_on_host` computes in the
    machine's memory. `ancestors` tells who started a process.
    """

    def __init__(
        self,
        probe: Probe,
        pid: int | None,
        *,
        is_on_host: bool,
        ancestors: Callable[[int], frozenset[int]] = ancestors,
    ) -> None:
        self._probe = probe
        self._pid = pid
        self._is_on_host = is_on_host
        self._ancestors = ancestors

    async def read(self) -> ProbeReading:
        """One look."""
        reading = await self._probe.read()
        return replace(reading, devices=tuple(self._its(reading.devices)))

    def _its(self, devices: Sequence[DeviceReading]) -> Sequence[DeviceReading]:
        if self._is_on_host:
            return [one for one in devices if one.kind in _COMPUTE_IN_THE_MACHINES_MEMORY]
        shown = [one for one in devices if len(devices) > 1 and self._uses(one)]
        return shown or devices  # all of them where the driver shows it on none

    def _uses(self, device: DeviceReading) -> bool:
        return any(self._pid in self._ancestors(one.pid) for one in device.processes or ())

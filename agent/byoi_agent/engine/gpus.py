"""Which GPUs an engine may see; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.hardware.devices import DeviceReading


def visible_gpus(
    wanted: tuple[int, ...] | None, devices: Iterable[DeviceReading]
) -> Mapping[str, str]:
    """The variables that show an engine these GPUs alone; none where none is meant.

    By their UUIDs, as CUDA numbers them by speed; by number in the order of the bus, which is
    NVML's and so ours, where one has none. Of a card that MIG splits it is the largest part.

    Raises:
        ConfigError: one of them cannot be used with the others.
        EngineError: one of them is not there now; a card that was lost may come back.
    """
    if wanted is None:
        return {}
    there = {device.index: device for device in devices if device.kind != "cpu"}
    for index in wanted:
        if index not in there:
            found = f"there are {', '.join(map(str, there))}" if there else "there is none"
            raise EngineError(f"[[models]] names GPU {index}, and {found}; see: byoi devices")
        if there[index].is_mig and len(wanted) > 1:
            raise ConfigError(
                f"GPU {index} cannot work together with another: MIG splits it; set "
                "tensor_parallel = 1, or end MIG: nvidia-smi -mig 0"
            )
    given = [there[index].for_engine() for index in wanted]
    uuids = [one.uuid for one in given if one is not None and one.uuid is not None]
    if len(uuids) == len(wanted):
        return {"CUDA_VISIBLE_DEVICES": ",".join(uuids)}
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, wanted)),
    }

"""What all nodes of an organisation achieve together, as their console heard it of benchmarks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from byoi_agent.errors import ConfigError
from byoi_wire.offers import Device, Host, Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.identity.console_http import ConsoleHttp

API_KEY_VARIABLE: Final = "BYOI_API_KEY"
_ANSWER_LIMIT_BYTES: Final = 64 << 20
"""Thousands of nodes, each with its devices and models."""


@dataclass(frozen=True)
class Fleet:
    """The nodes that are online; `flops` is the sum of those that were ever measured.

    `memory_bytes` is the mean of those that tell theirs, None where none does.
    """

    online: int
    measured: int
    flops: float
    memory_bytes: int | None
    offline: int = 0

    @property
    def unmeasured(self) -> int:
        """Online, but nobody ran a benchmark there: what they achieve is not known."""
        return self.online - self.measured


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore")

    measured: Measured | None = None


class Node(BaseModel):
    """One node as `/api/nodes` shows it."""

    model_config = ConfigDict(extra="ignore")

    state: str
    host: Host | None = None
    devices: tuple[Device, ...] = ()
    models: tuple[_Model, ...] = ()

    @property
    def flops(self) -> float | None:
        """The best of its models: they share one machine, so they do not add up."""
        return best_flops(model.measured for model in self.models)

    @property
    def memory_bytes(self) -> int | None:
        """That of its accelerators, or of the machine where it has none."""
        sizes = [size for one in self.devices if (size := one.memory_total_bytes)]
        return sum(sizes) or (None if self.host is None else self.host.memory_total_bytes)


class _Nodes(BaseModel):
    data: tuple[Node, ...] = Field(default=())


def best_flops(measured: Iterable[Measured | None]) -> float | None:
    """The most that was achieved; None where nothing was measured."""
    return max((one.flops for one in measured if one is not None and one.flops), default=None)


def api_key(environment: Mapping[str, str] | None = None) -> str:
    """An administrator's key from the environment, where no list of processes shows it.

    Raises:
        ConfigError: there is none.
    """
    found = (os.environ if environment is None else environment).get(API_KEY_VARIABLE, "").strip()
    if not found:
        raise ConfigError(
            f"set {API_KEY_VARIABLE} to an API key of an administrator: the console shows its "
            "nodes to nobody else"
        )
    return found


async def read_fleet(console: ConsoleHttp, key: str) -> Fleet:
    """Ask the console for its nodes.

    Raises:
        IdentityError: it does not take the key, or is no byoi console.
        LinkError: it cannot be reached now.
    """
    reply = await console.get("/api/nodes", key, _ANSWER_LIMIT_BYTES)
    return sum_of(console.understand(reply, _Nodes, "list its nodes").data)


def sum_of(nodes: Iterable[Node]) -> Fleet:
    """All that are online, together."""
    every = list(nodes)
    online = [node for node in every if node.state == "online"]
    speeds = [flops for node in online if (flops := node.flops) is not None]
    sizes = [size for node in online if (size := node.memory_bytes) is not None]
    return Fleet(
        online=len(online),
        measured=len(speeds),
        flops=sum(speeds),
        memory_bytes=sum(sizes) // len(sizes) if sizes else None,
        offline=len(every) - len(online),
    )

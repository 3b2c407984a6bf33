"""Which nodes a command of the CLI means: the named one, the machine's own, or a running demo's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import make_private_folder, read_private, write_private
from byoi_agent.config.paths import demos_folder, system_control_socket
from byoi_agent.control.client import ControlClient
from byoi_agent.control.schema import NodePlace
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from byoi_agent.config.paths import Paths


@dataclass(frozen=True)
class Instances:
    """Running nodes, and how they were found."""

    clients: tuple[ControlClient, ...]
    found_by: Literal["environment", "data_dir", "machine", "demo", "none"]


class DemoPlace(BaseModel):
    """What a running demo leaves in this user's runtime folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    data_dir: str
    nodes: tuple[NodePlace, ...]


def find(paths: Paths, environment: Mapping[str, str], *, is_named: bool) -> Instances:
    """The nodes that are meant; `is_named` says that the owner chose the data folder.

    Raises:
        ConfigError: `BYOI_CONTROL_URL` without its token, or a file of ours is not private.
    """
    if url := environment.get("BYOI_CONTROL_URL"):
        token = environment.get("BYOI_CONTROL_TOKEN")
        if not token:
            raise ConfigError("BYOI_CONTROL_URL needs BYOI_CONTROL_TOKEN beside it")
        return Instances((ControlClient(url=url, token=token),), "environment")
    if place := read_place(paths.control_file):
        return Instances((ControlClient.at(place),), "data_dir" if is_named else "machine")
    if is_named:
        return Instances((), "none")
    if system_control_socket().exists():
        return Instances((ControlClient(socket_path=str(system_control_socket())),), "machine")
    demos = list(running_demos(environment))
    clients = tuple(ControlClient.at(place) for demo in demos for place in demo.nodes)
    return Instances(clients, "demo" if clients else "none")


def read_place(file: Path) -> NodePlace | None:
    """Where the node of a state folder listens; None where none runs.

    Raises:
        ConfigError: the file may be read by others.
    """
    try:
        place = NodePlace.model_validate_json(read_private(file))
    except (FileNotFoundError, ValidationError):
        return None
    return place if _is_alive(place.pid) else None


def write_place(file: Path, place: NodePlace) -> None:
    """Leave word of a node, for its owner alone."""
    write_private(file, place.model_dump_json(indent=2).encode())


def register_demo(environment: Mapping[str, str], demo: DemoPlace) -> Path:
    """Leave word of a demo; the answer is the file to remove at its end."""
    folder = demos_folder(environment)
    make_private_folder(folder.parent)
    make_private_folder(folder)
    file = folder / f"{demo.pid}.json"
    write_private(file, demo.model_dump_json().encode())
    return file


def running_demos(environment: Mapping[str, str]) -> Iterator[DemoPlace]:
    """The demos of this user that run now; what a killed one left is passed over."""
    folder = demos_folder(environment)
    if not folder.is_dir():
        return
    for file in sorted(folder.glob("*.json")):
        try:
            demo = DemoPlace.model_validate_json(read_private(file))
        except (FileNotFoundError, ConfigError, ValidationError):
            continue
        if _is_alive(demo.pid):
            yield demo


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process has the number now, or the node runs as another user
    return True

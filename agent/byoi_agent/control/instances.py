"""Which nodes a command of the CLI means: the named one, the machine's own, or a running demo's."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import make_private_folder, read_private, write_private
from byoi_agent.config.paths import demos_folder, system_control_file, system_control_socket
from byoi_agent.control.client import ControlClient
from byoi_agent.control.schema import NodePlace
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoi_agent.config.paths import Paths


@dataclass(frozen=True)
class Instance:
    """One node: how to ask it, and the folder to read where it does not answer any more."""

    client: ControlClient
    state_dir: Path | None = None


@dataclass(frozen=True)
class Instances:
    """Nodes that should be running, and how they were found."""

    nodes: tuple[Instance, ...]
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
        return Instances((Instance(ControlClient(url=url, token=token)),), "environment")
    if place := read_place(paths.control_file):
        found = Instance(ControlClient.at(place), paths.state)
        return Instances((found,), "data_dir" if is_named else "machine")
    if _answers(paths.control_socket):  # its disk was too full for word of it
        client = ControlClient(socket_path=str(paths.control_socket))
        return Instances((Instance(client, paths.state),), "data_dir" if is_named else "machine")
    if is_named:
        return Instances((), "none")
    if (systems := _systems_node()) is not None:
        return Instances((Instance(systems),), "machine")
    demos = list(running_demos(environment))
    return Instances(_nodes_of(demos[-1]), "demo") if demos else Instances((), "none")


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


def _nodes_of(demo: DemoPlace) -> tuple[Instance, ...]:
    return tuple(
        Instance(ControlClient.at(place), Path(place.state_dir) if place.state_dir else None)
        for place in demo.nodes
    )


def register_demo(environment: Mapping[str, str], demo: DemoPlace) -> Path:
    """Leave word of a demo; the answer is the file to remove at its end."""
    folder = demos_folder(environment)
    make_private_folder(folder.parent)
    make_private_folder(folder)
    for left in folder.glob("*.json"):
        if left.stem.isdigit() and not _is_alive(int(left.stem)):
            left.unlink(missing_ok=True)
    file = folder / f"{demo.pid}.json"
    write_private(file, demo.model_dump_json().encode())
    return file


def running_demos(environment: Mapping[str, str]) -> Iterator[DemoPlace]:
    """The demos of this user that run now, oldest first; what a killed one left is passed over."""
    found: list[tuple[float, DemoPlace]] = []
    for file in demos_folder(environment).glob("*.json"):
        try:
            demo = DemoPlace.model_validate_json(read_private(file))
            found.append((file.stat().st_mtime, demo))
        except (FileNotFoundError, ConfigError, ValidationError):
            continue
    for _, demo in sorted(found, key=lambda pair: pair[0]):
        if _is_alive(demo.pid):
            yield demo


def _answers(path: Path) -> bool:
    """Whether somebody listens there; what a killed node left does not."""
    if not path.exists() or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


def _systems_node() -> ControlClient | None:
    """A node that the system runs as a service, where this user may use it."""
    if sys.platform == "win32":
        try:
            place = read_place(system_control_file())
        except ConfigError:  # its group's alone, and this user is not in it
            return None
        return None if place is None else ControlClient.at(place)
    if not system_control_socket().exists():
        return None
    return ControlClient(socket_path=str(system_control_socket()))


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # where the call below would send Ctrl-C
        from byoi_agent.hardware.host import is_there  # noqa: PLC0415 only there

        return is_there(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's process has the number now, or the node runs as another user
    return True

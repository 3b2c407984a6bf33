"""How each part of the demo is started: the programs, their flags, what they say when ready."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from byoi_agent.control.schema import NodePlace
from byoi_agent.demo.child import Child, ChildFailed, finish, program
from byoi_agent.demo.console_api import ConsoleApi
from byoi_agent.demo.folder import Secrets
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from byoi_agent.demo.choices import Choices
    from byoi_agent.demo.folder import DemoFolder

ADMIN_EMAIL = "admin@localhost"


def console_child(folder: DemoFolder, port: int) -> Child:
    """The console, not started yet."""
    ready = folder.ready_file("console")
    return Child(
        "the console",
        console_command(folder, port),
        until_killed=("--ready-file", str(ready), "--exit-with-stdin"),
        ready_file=ready,
        log_file=folder.log_file("console"),
    )


def console_command(folder: DemoFolder, port: int) -> tuple[str, ...]:
    """What starts the console, also for a person who types it."""
    command = (program("byoi-console"), "serve", "--port", str(port))
    return (*command, "--data-dir", str(folder.console))


def node_child(folder: DemoFolder, number: int, console_url: str, choices: Choices) -> Child:
    """A node, not started yet."""
    name = f"node-{number}"
    ready = folder.ready_file(name)
    command = (
        *(program("byoi"), "run", "--data-dir", str(folder.node(number))),
        *("--console", console_url, "--engine", choices.engine, "--key-store", "file"),
        *(("--model", choices.model) if choices.model else ()),
    )
    return Child(
        f"node {number}",
        command,
        until_killed=("--log-format=human", "--ready-file", str(ready), "--exit-with-stdin"),
        ready_file=ready,
        log_file=folder.log_file(name),
    )


async def secrets_of(folder: DemoFolder, console_url: str) -> Secrets:
    """The demo's keys: kept from an earlier start, else made now."""
    if (kept := folder.secrets()) is not None:
        return kept
    admin = await _new_admin(folder)
    api = ConsoleApi(console_url, admin["api_key"])
    try:
        key = await api.call("POST", "/api/keys", {"name": "demo", "scope": "inference"})
    finally:
        await api.close()
    made = Secrets(
        admin_email=admin["email"],
        admin_password=admin["password"],
        admin_api_key=admin["api_key"],
        api_key=key["key"],
    )
    folder.keep(made)
    return made


async def _new_admin(folder: DemoFolder) -> dict[str, str]:
    try:
        return await _made_admin(folder, ADMIN_EMAIL)
    except ChildFailed:
        # A demo that was stopped before it had kept what it was told left the name taken.
        return await _made_admin(folder, f"admin-{secrets.token_hex(4)}@localhost")


async def _made_admin(folder: DemoFolder, email: str) -> dict[str, str]:
    argv = (
        *(program("byoi-console"), "admin", "create", "--data-dir", str(folder.console)),
        *("--email", email, "--json"),
    )
    made: dict[str, str] = json.loads(await finish("byoi-console admin create", argv, {}))
    return made


def not_enrolled(folder: DemoFolder, nodes: int) -> list[int]:
    """The numbers of the nodes that have no identity yet."""
    return [
        number
        for number in range(1, nodes + 1)
        if read_record(folder.node(number) / "identity.json") is None
    ]


async def join_token(console_url: str, keys: Secrets, uses: int) -> str:
    """A token that admits so many nodes."""
    api = ConsoleApi(console_url, keys.admin_api_key)
    try:
        token: str = (await api.call("POST", "/api/join-tokens", {"uses": uses}))["token"]
    finally:
        await api.close()
    return token


async def enrol(folder: DemoFolder, number: int, console_url: str, token: str) -> None:
    """Make a node, as its owner would; the token goes by the environment."""
    argv = (
        *(program("byoi"), "enroll", "--console", console_url, "--key-store", "file"),
        *("--data-dir", str(folder.node(number)), "--json"),
    )
    await finish(f"byoi enroll of node {number}", argv, {"BYOI_JOIN_TOKEN": token})


async def place_of(child: Child) -> NodePlace:
    """Where a node can be reached, once it serves.

    Raises:
        ChildFailed: it ended first.
    """
    return NodePlace.model_validate(await child.until_ready())

"""What every way of enrolling shares: a machine's facts, its row and its key, and the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import insert, select, update

from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import node_keys, nodes, organisations
from byoi_wire.ids import KeyId, NodeId, OrgId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.nodes.keys import ConsoleKeys

Visibility = Literal["org", "community"]
Mode = Literal["dedicated", "idle"]

MACHINE_PATTERN: Final = r"^[0-9a-f]{64}$"
KEY_KNOWN: Final = (
    "This key is a node's already, or was one's: each enrolment takes a key of its own. "
    "Where systemd hands it in, seal another device-key, or leave it out of the unit."
)
_GPUS_LIMIT: Final = 64


def _readable(text: str) -> str:
    """Without line breaks, control characters and marks that turn the direction of writing."""
    return "".join(letter for letter in text if letter.isprintable()).strip()


Readable = Annotated[str, AfterValidator(_readable)]
"""A stranger's text that people will see."""


class HostFacts(BaseModel):
    """What a machine tells of itself at enrolment; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Readable = Field(default="", max_length=200)
    os: Readable = Field(default="", max_length=100)
    architecture: Readable = Field(default="", max_length=100)
    gpus: tuple[Annotated[Readable, Field(max_length=200)], ...] = Field(
        default=(), max_length=_GPUS_LIMIT
    )
    agent_version: Readable = Field(default="", max_length=100)


@dataclass(frozen=True)
class Newcomer:
    """A machine that may become a node; its proof was checked."""

    org_id: OrgId
    public_key: str
    host: HostFacts
    name: str = ""
    machine: str | None = None
    visibility: Visibility = "org"
    mode: Mode = "dedicated"
    join_token_id: str | None = None
    enrolled_by: str | None = None


class Enrolled(BaseModel):
    """The answer: who the machine is from now on, and which console to trust."""

    model_config = ConfigDict(frozen=True)

    node_id: NodeId
    key_id: KeyId
    console_key: str
    console_key_id: KeyId
    origin: str
    name: str
    organisation: str
    visibility: Visibility
    mode: Mode


async def add_node(connection: AsyncConnection, newcomer: Newcomer, now_ms: int) -> NodeId:
    """A new node with its first key, within the caller's transaction.

    Raises:
        IntegrityError: the key is another node's already.
    """
    node_id = NodeId(new_id("node"))
    row = {
        "id": node_id,
        "org_id": newcomer.org_id,
        "created_at_ms": now_ms,
        "has_departed": False,
        "epoch": 0,
        **_facts(newcomer, newcomer.host.name or node_id),
    }
    await connection.execute(insert(nodes).values(row))
    await _add_key(connection, node_id, newcomer, now_ms)
    return node_id


async def take_over(
    connection: AsyncConnection, node_id: NodeId, newcomer: Newcomer, now_ms: int
) -> bool:
    """The machine goes on as a node of before; False: that one was revoked or deleted meanwhile.

    Its name in the ledger, its pins and its organisation stay; its old keys prove nothing new.

    Raises:
        IntegrityError: the key is a node's already.
    """
    named = nodes.c.id == node_id, nodes.c.revoked_at_ms.is_(None)
    old = (await connection.execute(select(nodes.c.name).where(*named))).first()
    if old is None:
        return False
    facts = {**_facts(newcomer, old.name), "rotation_ordered_at_ms": None}
    await connection.execute(update(nodes).where(*named).values(facts))
    live = node_keys.c.node_id == node_id, node_keys.c.revoked_at_ms.is_(None)
    await connection.execute(update(node_keys).where(*live).values(revoked_at_ms=now_ms))
    await _add_key(connection, node_id, newcomer, now_ms)
    return True


async def enrolled_as(
    connection: AsyncConnection, node_id: NodeId, public_key: str, keys: ConsoleKeys
) -> Enrolled | None:
    """The answer for a machine with this key; None: the key is not the node's, or not any more."""
    query = (
        select(nodes, node_keys.c.id.label("key_id"), organisations.c.name.label("organisation"))
        .join(node_keys, node_keys.c.node_id == nodes.c.id)
        .join(organisations, organisations.c.id == nodes.c.org_id)
        .where(nodes.c.id == node_id, node_keys.c.public_key == public_key)
        .where(node_keys.c.revoked_at_ms.is_(None))
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    return Enrolled(
        node_id=node_id,
        key_id=KeyId(row.key_id),
        console_key=keys.public_key,
        console_key_id=keys.key_id,
        origin=keys.origin,
        name=row.name,
        organisation=row.organisation,
        visibility=row.visibility,
        mode=row.mode,
    )


def host_as_kept(host: HostFacts) -> str:
    """A machine's facts as JSON; `host_of` reads them."""
    return host.model_dump_json()


def host_of(kept: str | None) -> dict[str, Any]:
    """A machine's facts as they were kept."""
    return dict(json.loads(kept)) if kept else {}


def _facts(newcomer: Newcomer, name: str) -> dict[str, object]:
    return {
        "name": newcomer.name or name,
        "host": host_as_kept(newcomer.host),
        "machine": newcomer.machine,
        "visibility": newcomer.visibility,
        "mode": newcomer.mode,
        "join_token_id": newcomer.join_token_id,
        "enrolled_by": newcomer.enrolled_by,
    }


async def _add_key(
    connection: AsyncConnection, node_id: NodeId, newcomer: Newcomer, now_ms: int
) -> None:
    key = {"id": new_id("nkey"), "node_id": node_id, "public_key": newcomer.public_key}
    await connection.execute(insert(node_keys).values(**key, created_at_ms=now_ms))

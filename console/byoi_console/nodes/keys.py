"""The console's own secrets: the key that its nodes pin, and the secret of its tickets.

They lie in the database rather than in files beside it: every replica must sign with the same key
and recognise every ticket, and a backup of the database alone must restore the console whole.
The SQLite file is readable by its owner only.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, update

from byoi_console.store.database import hold_lock
from byoi_console.store.tables import console_state
from byoi_wire.ids import KeyId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.store.database import Database


@dataclass(frozen=True)
class ConsoleKeys:
    """What proves this console to its nodes, and its tickets to itself."""

    key: Ed25519PrivateKey
    key_id: KeyId
    ticket_secret: bytes
    origin: str

    @property
    def public_key(self) -> str:
        """The raw public key in base64, as nodes pin it."""
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()


async def load_console_keys(
    database: Database, *, origin: str | None, first_origin: str
) -> ConsoleKeys:
    """The console's keys, made at the first start.

    Args:
        database: where they lie.
        origin: the origin that the operator set; it is kept from now on.
        first_origin: what to keep where none was ever set.
    """
    async with database.write() as connection:
        await hold_lock(connection, "byoi_console_state")
        private = await _kept(connection, "ed25519_private_key", _new_secret())
        ticket_secret = await _kept(connection, "ticket_secret", _new_secret())
        if origin is None:
            origin = await _kept(connection, "origin", first_origin)
        elif await _kept(connection, "origin", origin) != origin:
            named = console_state.c.name == "origin"
            await connection.execute(update(console_state).where(named).values(value=origin))
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return ConsoleKeys(key, key_id_of(key), base64.b64decode(ticket_secret), origin)


async def kept_origin(database: Database) -> str | None:
    """The origin that nodes pinned; None: this console has never served."""
    query = select(console_state.c.value).where(console_state.c.name == "origin")
    async with database.read() as connection:
        return (await connection.execute(query)).scalar_one_or_none()


def key_id_of(key: Ed25519PrivateKey) -> KeyId:
    """A key's name: the first half of its public half's SHA-256."""
    return KeyId(hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:32])


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def _kept(connection: AsyncConnection, name: str, first: str) -> str:
    query = select(console_state.c.value).where(console_state.c.name == name)
    value = (await connection.execute(query)).scalar_one_or_none()
    if value is None:
        await connection.execute(insert(console_state).values(name=name, value=first))
        return first
    return str(value)

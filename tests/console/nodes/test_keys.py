from __future__ import annotations

import asyncio
import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from byoi_console.nodes.keys import load_console_keys
from byoi_console.store.database import Database

FIRST = "http://127.0.0.1:8700"


async def load(database, origin=None, first_origin=FIRST):
    return await load_console_keys(database, origin=origin, first_origin=first_origin)


async def test_the_keys_are_made_once_and_found_again(database):
    first = await load(database)
    again = await load(database, first_origin="http://127.0.0.1:1")
    assert again.public_key == first.public_key
    assert again.key_id == first.key_id
    assert again.ticket_secret == first.ticket_secret
    assert len(first.ticket_secret) == 32
    assert again.origin == FIRST


async def test_replicas_that_start_at_once_agree(database, database_url):
    others = [Database(database_url) for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        loading = [tasks.create_task(load(each)) for each in (database, *others)]
    assert len({task.result().public_key for task in loading}) == 1
    for other in others:
        await other.close()


async def test_an_origin_that_the_operator_sets_is_kept_from_then_on(database):
    await load(database)
    assert (await load(database, "https://byoi.example")).origin == "https://byoi.example"
    assert (await load(database)).origin == "https://byoi.example"
    assert (await load(database, "https://new.example")).origin == "https://new.example"
    assert (await load(database)).origin == "https://new.example"


async def test_the_public_key_verifies_what_the_key_signs(database):
    keys = await load(database)
    raw = base64.b64decode(keys.public_key)
    Ed25519PublicKey.from_public_bytes(raw).verify(keys.key.sign(b"challenge"), b"challenge")

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.organisations import first_organisation
from byoi_console.nodes.enrolment import PROOF_TAG, Enrolment
from byoi_console.nodes.join_tokens import JoinTokens
from byoi_console.nodes.keys import load_console_keys
from byoi_console.nodes.records import NodeRecords
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate


class FakeClock:
    """Wall and monotonic time that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def database_url(tmp_path):
    return f"sqlite+aiosqlite:///{tmp_path}/console.sqlite3"


@pytest.fixture
async def database(database_url):
    """A real, migrated SQLite file."""
    database = Database(database_url)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def audit(database):
    return AuditLog(database)


@pytest.fixture
async def org_id(database):
    async with database.write() as connection:
        return await first_organisation(connection, "example.org", 0)


@pytest.fixture
async def console_keys(database):
    return await load_console_keys(database, origin=None, first_origin="http://127.0.0.1:8700")


@pytest.fixture
def join_tokens(database, audit, clock):
    return JoinTokens(database, audit, now_ms=clock.now_ms)


@pytest.fixture
def enrolment(database, audit, join_tokens, console_keys, clock):
    return Enrolment(
        database,
        audit,
        join_tokens,
        console_keys,
        now_ms=clock.now_ms,
        monotonic=clock.monotonic,
    )


@pytest.fixture
def records(database, audit, clock):
    return NodeRecords(database, audit, now_ms=clock.now_ms)


@pytest.fixture
def machine():
    """Makes the body of a join request as a machine with a key of its own would."""

    def make(join_token, **changes):
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        proof = key.sign(PROOF_TAG + join_token.encode() + b"\x00" + raw)
        body = {
            "join_token": join_token,
            "public_key": base64.b64encode(raw).decode(),
            "proof": base64.b64encode(proof).decode(),
            "host": {"name": "workstation", "os": "linux", "architecture": "x86_64", "more": 1},
        }
        return {**body, **changes}

    return make


@pytest.fixture
def send():
    """Makes one HTTP request on a connection of its own; gives its status and its JSON."""

    async def send(url, method, path, body=None, authorization=None):
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(data)}\r\n"
        if authorization:
            head += f"authorization: {authorization}\r\n"
        writer.write(f"{head}content-type: application/json\r\n".encode())
        writer.write(b"connection: close\r\n\r\n" + data)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        await writer.wait_closed()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content) if content[:1] == b"{" else content

    return send

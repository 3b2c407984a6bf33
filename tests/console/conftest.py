from __future__ import annotations

import asyncio
import base64
import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.organisations import first_organisation
from byoi_console.nodes.devices import Devices
from byoi_console.nodes.enrolment import Enrolment
from byoi_console.nodes.join_tokens import JoinTokens
from byoi_console.nodes.keys import load_console_keys
from byoi_console.nodes.node_requests import NodeRequests
from byoi_console.nodes.proofs import DEVICE_TAG, PROOF_TAG
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


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A migrated SQLite file to copy: the migrations run once, not for each test."""
    file = tmp_path_factory.mktemp("migrated") / "console.sqlite3"

    async def make():
        database = Database(f"sqlite+aiosqlite:///{file}")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return file


@pytest.fixture
async def database(database_url, migrated):
    """A real, migrated SQLite file."""
    shutil.copy(migrated, database_url.removeprefix("sqlite+aiosqlite:///"))
    database = Database(database_url)
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
def disconnected():
    """The nodes whose sessions were ended, in order."""
    return []


@pytest.fixture
def devices(database, audit, console_keys, clock, disconnected):
    return Devices(
        database,
        audit,
        console_keys,
        disconnected.append,
        now_ms=clock.now_ms,
        monotonic=clock.monotonic,
    )


@pytest.fixture
def records(database, audit, clock):
    return NodeRecords(database, audit, now_ms=clock.now_ms)


@pytest.fixture
def machine():
    """Makes the body of a join request as a machine with a key of its own would."""

    def make(join_token, key=None, **changes):
        key = key or Ed25519PrivateKey.generate()
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
def node_requests(database, audit, console_keys, clock, disconnected):
    return NodeRequests(
        database,
        audit,
        console_keys.origin,
        disconnected.append,
        now_ms=clock.now_ms,
        monotonic=clock.monotonic,
    )


class Device:
    """A machine in the device flow: one key, and the bodies that it sends."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.raw = self.key.public_key().public_bytes_raw()

    @property
    def public_key(self):
        return base64.b64encode(self.raw).decode()

    def signature(self, message):
        return base64.b64encode(self.key.sign(message)).decode()

    def request(self, **changes):
        """What it sends to begin."""
        host = {
            "name": "gpu-box",
            "os": "Ubuntu 24.04",
            "architecture": "x86_64",
            "gpus": ["NVIDIA H200", "NVIDIA H200"],
            "agent_version": "0.2.0",
        }
        body = {"public_key": self.public_key, "proof": self.signature(DEVICE_TAG + self.raw)}
        return {**body, "host": host, "machine": "ab" * 32, **changes}

    def grant(self, device_code, **changes):
        """What it sends each time that it polls."""
        proof = self.signature(PROOF_TAG + device_code.encode() + b"\x00" + self.raw)
        body = {"device_code": device_code, "public_key": self.public_key, "proof": proof}
        return {**body, **changes}


@pytest.fixture
def device():
    """Makes machines that enrol by the device flow."""
    return Device


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

"""A door that is open, and machines that come to it and say whatever a test makes them say."""

from __future__ import annotations

import asyncio
import base64
import secrets
import sqlite3

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.exc import OperationalError

from byoi_console.ledger.postings import Ledger
from byoi_console.ledger.tickets import Tickets
from byoi_console.nodes import endpoint, proofs
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.nodes.node_requests import KeyRequest
from byoi_console.nodes.pins import Pins
from byoi_console.nodes.proofs import PROOF_TAG
from byoi_console.nodes.session import Sessions
from byoi_console.routing.registry import Registry
from byoi_wire import codec
from byoi_wire.aio.memory import pair
from byoi_wire.handshake import NodeHandshake
from byoi_wire.messages import Advertise, Welcome
from byoi_wire.offers import Host, ModelOffer
from byoi_wire.usage import Usage, UsageRecord, sign

REFUSES = OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))


def offer(models=1, first=0):
    names = range(first, first + models)
    return Advertise(
        version=1,
        agent_version="t",
        host=Host(os="linux", architecture="x"),
        models=tuple(ModelOffer(id=f"m{n}", engine="t", routes=()) for n in names),
        slots=4,
    )


class Machine:
    """A node's end of one link, which says whatever a test makes it say."""

    def __init__(self, channel, enrolled, key):
        self.channel, self.enrolled, self.key = channel, enrolled, key
        self.heard: asyncio.Queue = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        channel.attach(self)

    def message_received(self, message):
        self.heard.put_nowait(message)

    def channel_writable(self): ...

    def channel_closed(self, code, reason):
        self.closed.set_result((code, reason))

    async def next(self):
        async with asyncio.timeout(60):
            return await self.heard.get()

    async def end(self):
        async with asyncio.timeout(60):
            return await asyncio.shield(self.closed)

    async def hello(self, instance=None, resume=None, **changes):
        handshake = NodeHandshake(
            node_id=self.enrolled.node_id,
            key_id=self.enrolled.key_id,
            key=self.key,
            console_key=Ed25519PublicKey.from_public_bytes(
                base64.b64decode(self.enrolled.console_key)
            ),
            origin=self.enrolled.origin,
            instance_id=instance or secrets.token_hex(8),
            nonce=secrets.token_hex(16),
            agent="test",
        )
        hello = handshake.answer(await self.next(), resume).model_copy(update=changes)
        self.say(hello)
        return codec.decode_control(await self.next())

    def say(self, message):
        self.channel.send(codec.encode_control(message))

    def offer(self, models=1, first=0):
        self.say(offer(models, first))

    def frames(self, *frames):
        self.channel.send(codec.encode(frames))

    def record(self, **changes):
        facts = {
            "request_id": "req_never_given",
            "attempt": 1,
            "ticket": "made.up",
            "node_id": self.enrolled.node_id,
            "model": "m",
            "route": "/v1/chat/completions",
            "outcome": "complete",
            "status": 200,
            "usage": Usage(prompt_tokens=10**6, completion_tokens=10**6),
            "counted_by": "engine",
            "started_at_ms": 1,
            "duration_ms": 1.0,
            "sent_bytes": 1,
        }
        return UsageRecord(**{**facts, **changes})

    def signed(self, record):
        return sign(record, key_id=self.enrolled.key_id, key=self.key)


class House:
    """A door that is open, and machines that come to it."""

    def __init__(self, door, registry, sessions, admit, node_requests, monkeypatch, pins):
        self.door, self.registry, self.sessions, self.pins = door, registry, sessions, pins
        self._admit, self._node_requests = admit, node_requests
        self._monkeypatch = monkeypatch

    async def rotated(self, machine):
        """The same machine with a new key, of which its console has heard."""
        enrolled, new = machine.enrolled, Ed25519PrivateKey.generate()
        raw = new.public_key().public_bytes_raw()
        message = proofs.rotation(enrolled.origin, enrolled.node_id, raw)
        request = KeyRequest(
            node_id=enrolled.node_id,
            key_id=enrolled.key_id,
            public_key=proofs.written(raw),
            proof=base64.b64encode(new.sign(message)).decode(),
            signature=base64.b64encode(machine.key.sign(message)).decode(),
        )
        key_id = await self._node_requests.rotate(request)
        return enrolled.model_copy(update={"key_id": key_id}), new

    async def come(self, peer="192.0.2.1", as_known=None):
        theirs, ours = pair()
        self._monkeypatch.setattr(endpoint, "accept", lambda *_: ours)
        self.door(None, b"", peer)
        return Machine(theirs, *(as_known or await self._admit()))

    async def come_in(self, peer="192.0.2.1", as_known=None):
        machine = await self.come(peer, as_known)
        assert isinstance(await machine.hello(), Welcome)
        machine.offer()
        async with asyncio.timeout(60):
            while machine.enrolled.node_id not in self.registry.live():
                await self.registry.wait_for_change()
        return machine


@pytest.fixture
def admit(join_tokens, enrolment, org_id):
    """Makes a machine a node; gives what its console answered and its key."""

    async def admit():
        token = (await join_tokens.create(org_id, "test")).token
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        proof = key.sign(PROOF_TAG + token.encode() + b"\x00" + raw)
        request = JoinRequest(
            join_token=token,
            public_key=base64.b64encode(raw).decode(),
            proof=base64.b64encode(proof).decode(),
        )
        return await enrolment.join(request), key

    return admit


@pytest.fixture
async def house(database, audit, records, console_keys, admit, node_requests, monkeypatch):
    registry = Registry()
    sessions = Sessions(registry, grace_seconds=0.05)
    ledger = Ledger(database, audit, Tickets(console_keys.ticket_secret))
    pins = Pins(database, audit, registry, sessions.send)
    door = endpoint.AgentsDoor(
        keys=console_keys,
        records=records,
        sessions=sessions,
        registry=registry,
        ledger=ledger,
        pins=pins,
    )

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(door.run()), tasks.create_task(ledger.run())]
        await asyncio.sleep(0)
        house = House(door, registry, sessions, admit, node_requests, monkeypatch, pins)
        house.end_door = running[0].cancel
        yield house
        for task in running:
            task.cancel()

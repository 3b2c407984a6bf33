"""Both ends of the link over real sockets, with a network between them that breaks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.clock import SystemClock
from byoi_agent.identity.keys import Identity
from byoi_agent.link.machine import Limits
from byoi_agent.link.supervisor import LinkStopped, LinkSupervisor
from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.organisations import first_organisation
from byoi_console.ledger.postings import Ledger
from byoi_console.ledger.tickets import Tickets
from byoi_console.nodes.endpoint import AgentsDoor
from byoi_console.nodes.enrolment import Enrolment, JoinRequest
from byoi_console.nodes.join_tokens import JoinTokens
from byoi_console.nodes.keys import load_console_keys
from byoi_console.nodes.pins import Pins
from byoi_console.nodes.records import NodeRecords
from byoi_console.nodes.session import Sessions
from byoi_console.routing.registry import Registry
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate
from byoi_wire.ids import ModelId, RequestId
from byoi_wire.messages import Advertise, AnswerHead, OpenHead, ResetCode
from byoi_wire.offers import Host, ModelOffer

ANSWER_BYTES = 400_000
GRACE_SECONDS = 120.0
"""For which a session waits for its node: so long that none is given up on a slow machine."""
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for, and no grace is over."""


class HeadReader(asyncio.Protocol):
    """Reads a request head, as the front does, and hands the transport to the door."""

    def __init__(self, door):
        self.door, self.head = door, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.door(self.transport, self.head, "127.0.0.1")


class World:
    """A console's door with its database, and nodes that dial it."""

    def __init__(self, tasks, grace_seconds=GRACE_SECONDS):
        self.tasks = tasks
        self.registry = Registry()
        self.sessions = Sessions(self.registry, grace_seconds=grace_seconds)

    async def start(self, folder):
        url = f"sqlite+aiosqlite:///{folder}/console.sqlite3"
        self.database = Database(url)
        await migrate(self.database)
        audit = AuditLog(self.database)
        self.keys = await load_console_keys(
            self.database, origin=None, first_origin="http://console.test"
        )
        self.records = NodeRecords(self.database, audit)
        ledger = Ledger(self.database, audit, Tickets(self.keys.ticket_secret))
        self.tokens = JoinTokens(self.database, audit)
        self.enrolment = Enrolment(self.database, audit, self.tokens, self.keys)
        self.door = AgentsDoor(
            keys=self.keys,
            records=self.records,
            sessions=self.sessions,
            registry=self.registry,
            ledger=ledger,
            pins=Pins(self.database, audit, self.registry, self.sessions.send),
        )
        self.background = [
            self.tasks.create_task(self.door.run()),
            self.tasks.create_task(ledger.run()),
        ]
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: HeadReader(self.door), "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def enrol(self) -> Identity:
        async with self.database.write() as connection:
            org_id = await first_organisation(connection, "test", 0)
        token = (await self.tokens.create(org_id, "test", uses=1, expires_in_seconds=60)).token
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        proof = key.sign(b"byoi-enrol-v1\x00" + token.encode() + b"\x00" + raw)
        enrolled = await self.enrolment.join(
            JoinRequest(
                join_token=token,
                public_key=base64.b64encode(raw).decode(),
                proof=base64.b64encode(proof).decode(),
            )
        )
        return Identity(
            node_id=enrolled.node_id,
            key_id=enrolled.key_id,
            key=key,
            console_key=Ed25519PublicKey.from_public_bytes(base64.b64decode(enrolled.console_key)),
            console_key_id=enrolled.console_key_id,
            origin=enrolled.origin,
            console_url="http://127.0.0.1",
        )

    def node(self, identity, port):
        return Node(self, identity, port)

    async def wait_for(self, condition):
        async with asyncio.timeout(SLOW_SECONDS):
            while not condition():
                await self.registry.wait_for_change()

    async def stop(self):
        self.server.close()
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.database.close()


class Node:
    """An agent's link whose only skill is to answer with numbered bytes."""

    def __init__(self, world, identity, port):
        self.views = []
        self.answering = {}
        self.link = LinkSupervisor(
            identity,
            console_url=f"http://127.0.0.1:{port}",
            accept=self.accept,
            on_online=self.advertise,
            on_offline=lambda: None,
            on_usage_ack=lambda ack: None,
            publish=self.views.append,
            clock=SystemClock(),
            agent="test",
            limits=Limits(base_seconds=0.05),
        )
        self.task = world.tasks.create_task(self._run())
        self.stopped = None

    async def _run(self):
        try:
            await self.link.run()
        except LinkStopped as stopped:
            self.stopped = stopped

    def advertise(self):
        self.link.send(
            Advertise(
                version=1,
                agent_version="test",
                host=Host(os="linux", architecture="x"),
                models=(ModelOffer(id=ModelId("m"), engine="test", routes=()),),
                slots=4,
            )
        )

    def accept(self, session, stream, head):
        answer = Answer(session, stream, head)
        self.answering[head.request_id] = answer
        return answer


def expected(count: int) -> bytes:
    return b"".join(b"%07d\n" % n for n in range(count // 8))


class Answer:
    """Sends numbered lines, some every millisecond, as far as the window allows; then ends."""

    def __init__(self, session, stream, head):
        self.session, self.stream, self.head = session, stream, head
        self.reset = None
        self.rest = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data):
        self.session.consumed(self.stream, len(data))

    def end_received(self, trailer):
        self.rest = expected(ANSWER_BYTES)
        self.session.send_head(self.stream, AnswerHead(status=200))
        self.send_allowed()

    def send_allowed(self):
        if self.reset is not None:
            return
        piece, self.rest = self.rest[:500], self.rest[500:]
        may_go_on = self.session.send(self.stream, piece)
        if not self.rest:
            self.session.end(self.stream)
        elif may_go_on:
            self.loop.call_later(0.001, self.send_allowed)

    def reset_received(self, code, reason):
        self.reset = code

    def head_received(self, head): ...
    def link_lost(self): ...
    def link_resumed(self): ...


class Client:
    """Reads an answer at the console's side, a little at a time."""

    def __init__(self):
        self.got = bytearray()
        self.done = asyncio.get_running_loop().create_future()
        self.lost = self.resumed = 0
        self.on_data = lambda: None

    def open(self, live, name="r1"):
        self.session = live.session
        head = OpenHead(
            request_id=RequestId(name),
            attempt=1,
            ticket="t",
            tenant="o",
            path="/x",
            model=ModelId("m"),
            deadline_seconds=60,
            body_bytes=0,
        )
        self.stream = self.session.open(head, self)
        self.session.send(self.stream, b"question")
        self.session.end(self.stream)

    def head_received(self, head):
        assert head.status == 200

    def data_received(self, data):
        self.got += data
        asyncio.get_running_loop().call_later(0.001, self.session.consumed, self.stream, len(data))
        self.on_data()

    def end_received(self, trailer):
        self.done.set_result("end")

    def reset_received(self, code, reason):
        if not self.done.done():  # the test itself may have given up
            self.done.set_result(code)

    def send_allowed(self): ...

    def link_lost(self):
        self.lost += 1

    def link_resumed(self):
        self.resumed += 1


@pytest.fixture
async def world(tmp_path, request):
    """With another grace where a test asks for one."""
    async with asyncio.TaskGroup() as tasks:
        world = World(tasks, getattr(request, "param", GRACE_SECONDS))
        await world.start(tmp_path)
        yield world
        await world.stop()


@contextlib.asynccontextmanager
async def running(*nodes):
    try:
        yield
    finally:
        for node in nodes:
            node.task.cancel()
        await asyncio.gather(*(node.task for node in nodes), return_exceptions=True)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_cut_at_twenty_random_points_arrives_whole(world, proxy_to, how):
    identity = await world.enrol()
    proxy = await proxy_to("127.0.0.1", world.port)
    node = world.node(identity, proxy.port)
    dice = random.Random(7)
    async with running(node):
        await world.wait_for(lambda: world.registry.live())
        client = Client()
        cuts = sorted(dice.randrange(1, ANSWER_BYTES) for _ in range(20))

        def cut_here():
            if cuts and len(client.got) >= cuts[0] and node.link.view.state == "online":
                del cuts[0]
                proxy.cut(how)

        client.on_data = cut_here
        client.open(world.registry.node(identity.node_id))
        async with asyncio.timeout(2 * SLOW_SECONDS):
            assert await client.done == "end"
        assert bytes(client.got) == expected(ANSWER_BYTES)
        assert client.lost >= 8  # two cuts so near each other that one break served for both
        assert node.link.view.resumes >= 8


async def test_silence_is_noticed_and_the_answer_goes_on(world, proxy_to):
    identity = await world.enrol()
    proxy = await proxy_to("127.0.0.1", world.port)
    node = world.node(identity, proxy.port)
    async with running(node):
        await world.wait_for(lambda: world.registry.live())
        client = Client()

        def cut_once():
            if len(client.got) > ANSWER_BYTES // 3 and not proxy._silent:
                proxy.cut("silence")

        client.on_data = cut_once
        client.open(world.registry.node(identity.node_id))
        async with asyncio.timeout(SLOW_SECONDS):
            assert await client.done == "end"
        assert bytes(client.got) == expected(ANSWER_BYTES)
        assert node.stopped is None  # the same process behind a half-open link is never replaced


async def test_a_second_process_with_the_same_key_replaces_the_first_for_good(world):
    identity = await world.enrol()
    first = world.node(identity, world.port)
    await world.wait_for(lambda: world.registry.live())
    second = world.node(identity, world.port)
    async with running(first, second):
        async with asyncio.timeout(SLOW_SECONDS):
            await first.task
        assert first.stopped.code == "replaced"
        assert first.stopped.exit_code == 78
        await world.wait_for(lambda: world.registry.live())
        assert second.stopped is None
        assert second.link.view.epoch == 2


async def test_the_old_process_streams_are_lost_at_once_when_a_new_one_comes(world):
    identity = await world.enrol()
    first = world.node(identity, world.port)
    await world.wait_for(lambda: world.registry.live())
    client = Client()
    client.session = None
    live = world.registry.node(identity.node_id)
    client.open(live)
    second = world.node(identity, world.port)
    async with running(first, second), asyncio.timeout(SLOW_SECONDS):
        outcome = await client.done
        assert outcome in {ResetCode.LOST, "end"}


@pytest.mark.parametrize("world", [3.0], indirect=True)
async def test_a_node_that_stays_away_loses_its_streams_after_the_grace(world, proxy_to):
    identity = await world.enrol()
    proxy = await proxy_to("127.0.0.1", world.port)
    node = world.node(identity, proxy.port)
    async with running(node):
        await world.wait_for(lambda: world.registry.live())
        client = Client()

        def cut_for_good():
            if len(client.got) > 50_000:
                proxy.refusing = True
                proxy.cut("rst")

        client.on_data = cut_for_good
        client.open(world.registry.node(identity.node_id))
        async with asyncio.timeout(SLOW_SECONDS):
            assert await client.done is ResetCode.LOST
        assert expected(ANSWER_BYTES).startswith(bytes(client.got))
        assert not world.registry.live()


async def test_a_revoked_node_is_gone_within_a_second_and_not_let_in_again(world, helper):
    async def revoke_one():
        identity = await world.enrol()
        node = world.node(identity, world.port)
        async with running(node):
            await world.wait_for(lambda: world.registry.live())
            await world.records.revoke(identity.node_id, "test")
            began = time.monotonic()
            world.sessions.disconnect(identity.node_id)
            async with asyncio.timeout(SLOW_SECONDS):
                await node.task
            took = time.monotonic() - began
            assert node.stopped.code == "revoked"
            again = world.node(identity, world.port)
            async with asyncio.timeout(SLOW_SECONDS):
                await again.task
            assert again.stopped.code == "revoked"
        return took

    await helper("promise").kept(1.0, revoke_one)


async def test_a_node_that_leaves_says_so_and_nobody_waits_for_it(world):
    identity = await world.enrol()
    node = world.node(identity, world.port)
    await world.wait_for(lambda: world.registry.live())
    client = Client()
    client.open(world.registry.node(identity.node_id))
    node.task.cancel()
    async with asyncio.timeout(SLOW_SECONDS):
        assert await client.done in {ResetCode.LOST, "end"}
        await world.wait_for(lambda: not world.registry.live())
        while not (await world.records.get(identity.node_id)).has_departed:
            await asyncio.sleep(0.01)


async def test_a_proof_for_another_console_is_refused(world, tmp_path):
    identity = await world.enrol()
    (tmp_path / "other").mkdir()
    other = World(world.tasks)
    await other.start(tmp_path / "other")
    node = other.node(identity, other.port)
    async with running(node):
        async with asyncio.timeout(SLOW_SECONDS):
            while not any("does not verify" in (view.reason or "") for view in node.views):
                await asyncio.sleep(0.01)
        assert not other.registry.live()
    await other.stop()

"""Many at the agents' door at once: strangers who prove nothing, and nodes that come back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import resource
import time

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.clock import SystemClock
from byoi_agent.identity.keys import Identity
from byoi_agent.link.machine import Limits
from byoi_agent.link.supervisor import LinkSupervisor
from byoi_wire.ids import ModelId
from byoi_wire.messages import Advertise
from byoi_wire.offers import Host, ModelOffer

STRANGERS = 400
NODES = 200
BACK_SECONDS = 20.0
SLOW_SECONDS = 60.0
IMPATIENT = Limits(cap_seconds=8.0)
"""It is the door that is tried, not the dice of those who dialled while nobody was there."""
MEMORY_BYTES = 64 * 2**20
UPGRADE = (
    b"GET /agent/v1/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: byoi.v1\r\n\r\n"
)


@pytest.fixture
def elsewhere(helper):
    """A proxy whose links come from another address than everybody else's."""
    proxy = helper("tcp_proxy")

    class Elsewhere(proxy.TcpProxy):
        async def _accepted(self, reader, writer):
            far_reader, far_writer = await asyncio.open_connection(
                *self._target, local_addr=("127.0.0.2", 0)
            )
            self.links += 1
            near, far = proxy._Half(reader, writer), proxy._Half(far_reader, far_writer)
            self._open.append((near, far))
            self._tasks.add(asyncio.current_task())
            with contextlib.suppress(OSError):
                await asyncio.gather(
                    self._pump(near, far, near, down=False), self._pump(far, near, near, down=True)
                )

    return Elsewhere


async def stranger(port, seen):
    """Asks for a link, says nothing, and asks anew once it is shown out."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(UPGRADE)
                while data := await reader.read(4096):
                    seen.append(len(data))
            finally:
                writer.close()
        await asyncio.sleep(0.2)


async def test_strangers_at_the_door_keep_no_node_out(deployment, proxy_to, elsewhere):
    console = await deployment.start_console()
    engine = await deployment.start_fake_engine()
    proxy = await proxy_to("127.0.0.1", deployment.console_port, elsewhere)
    await deployment.enrol("node", proxy.port)
    seen = psutil.Process(console.pid)
    before = seen.memory_info().rss
    heard = []
    crowd = [
        asyncio.create_task(stranger(deployment.console_port, heard)) for _ in range(STRANGERS)
    ]

    async def crowded():
        return len(heard) > 2 * STRANGERS

    await deployment.until(crowded)
    await deployment.run_node("node", "--engine", engine.ready["url"])
    answer = await deployment.chat("through the crowd", max_tokens=5)
    assert answer.is_complete
    assert seen.memory_info().rss - before < MEMORY_BYTES
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)

    async def gone():
        return seen.num_fds() < 64

    await deployment.until(gone)


class Nodes:
    """Links of many enrolled nodes in this one process."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.tasks = []
        self.views = {}

    async def enrol(self, count):
        body = {"uses": count}
        token = (await self.deployment.admin("POST", "/api/join-tokens", body))["token"]
        return await asyncio.gather(*(self._identity(token) for _ in range(count)))

    async def _identity(self, token):
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        proof = key.sign(b"byoi-enrol-v1\0" + token.encode() + b"\0" + raw)
        body = {
            "join_token": token,
            "public_key": base64.b64encode(raw).decode(),
            "proof": base64.b64encode(proof).decode(),
        }
        told = await self.deployment.admin("POST", "/agent/v1/token", body)
        console_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(told["console_key"]))
        return Identity(
            node_id=told["node_id"],
            key_id=told["key_id"],
            key=key,
            console_key=console_key,
            console_key_id=told["console_key_id"],
            origin=told["origin"],
            console_url=self.deployment.url,
        )

    def connect(self, identity):
        link = LinkSupervisor(
            identity,
            console_url=self.deployment.url,
            accept=lambda *_: None,
            on_online=lambda: link.send(OFFER),
            on_offline=lambda: None,
            on_usage_ack=lambda _: None,
            publish=lambda view: self.views.update({identity.node_id: view}),
            clock=SystemClock(),
            agent="test",
            limits=IMPATIENT,
        )
        self.tasks.append(asyncio.create_task(link.run()))

    def online(self, connects):
        states = [view.state == "online" for view in self.views.values()]
        return sum(states) == NODES and all(v.connects >= connects for v in self.views.values())

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


OFFER = Advertise(
    version=1,
    agent_version="test",
    host=Host(os="linux", architecture="x"),
    models=(ModelOffer(id=ModelId("m"), engine="test", routes=()),),
    slots=1,
)


@pytest.fixture
async def nodes(deployment):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    nodes = Nodes(deployment)
    yield nodes
    await nodes.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(600)
async def test_two_hundred_nodes_come_back_within_twenty_seconds_of_a_restart(
    deployment, helper, nodes
):
    await deployment.start_console()
    for identity in await nodes.enrol(NODES):
        nodes.connect(identity)

    connects = 1

    async def all_online():
        return nodes.online(connects)

    await deployment.until(all_online)

    async def restart():
        nonlocal connects
        connects += 1
        deployment.console.kill()
        await deployment.console.wait(SLOW_SECONDS)
        await deployment.start_console()
        up_at = time.monotonic()
        await deployment.until(all_online)
        return time.monotonic() - up_at

    print(f"all back after {await helper('promise').kept(BACK_SECONDS, restart):.1f} s")

    async def all_listed():
        listed = await deployment.nodes()
        return sum(node["state"] == "online" for node in listed) == NODES

    await deployment.until(all_listed)

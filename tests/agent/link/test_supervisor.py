from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.clock import SystemClock
from byoi_agent.identity.keys import Identity
from byoi_agent.link import supervisor
from byoi_agent.link.connection import Proven
from byoi_agent.link.machine import Limits
from byoi_agent.link.supervisor import LinkStopped, LinkSupervisor
from byoi_wire import codec
from byoi_wire.aio.inbox import Inbox
from byoi_wire.aio.memory import pair
from byoi_wire.errors import HandshakeRefused
from byoi_wire.messages import Goaway, Renew, Welcome
from byoi_wire.messages import Limits as Granted


def a_welcome(**changes):
    facts = {
        "session_id": "s",
        "epoch": 1,
        "limits": Granted(window_bytes=1, data_bytes=1, message_bytes=1),
        "lease_seconds": 40.0,
        "renew_seconds": 10.0,
        "grace_seconds": 15.0,
    }
    return Welcome(**{**facts, **changes})


class Console:
    """What a node finds each time it dials: a refusal, or a link whose other end is here."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)
        self.dials = 0
        self.heard = []
        self.channel = None

    async def connect(self, *_, **__):
        self.dials += 1
        verdict = self.verdicts.pop(0) if self.verdicts else await asyncio.Event().wait()
        if isinstance(verdict, Exception):
            raise verdict
        ours, self.channel = pair()
        self.channel.attach(self)
        return Proven(ours, Inbox(ours, 65536), verdict)

    def message_received(self, message):
        self.heard.append(message)

    def channel_writable(self): ...
    def channel_closed(self, code, reason): ...


@pytest.fixture
def dialling(monkeypatch):
    """A node's link to such a console; gives the link, which is run by whoever asked for it."""

    def dialling(console, **limits):
        monkeypatch.setattr(supervisor, "connect", console.connect)
        key = Ed25519PrivateKey.generate()
        identity = Identity(
            node_id="n",
            key_id="k",
            key=key,
            console_key=key.public_key(),
            console_key_id="c",
            origin="http://127.0.0.1",
            console_url="http://127.0.0.1",
        )
        return LinkSupervisor(
            identity,
            console_url="http://127.0.0.1:1",
            accept=lambda *_: None,
            on_online=lambda: None,
            on_offline=lambda: None,
            on_usage_ack=lambda _: None,
            publish=lambda _: None,
            clock=SystemClock(),
            agent="test",
            limits=Limits(base_seconds=0.001, **limits),
        )

    return dialling


async def until(holds):
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("code", ["revoked", "reauth", "upgrade_required"])
async def test_a_console_s_last_word_comes_out_as_itself_and_not_in_a_group(dialling, code):
    link = dialling(Console(HandshakeRefused(code, "no")))
    with pytest.raises(LinkStopped) as stopped:
        await link.run()
    assert (stopped.value.code, stopped.value.exit_code) == (code, 78)
    assert link.view.state == "stopped"


async def test_a_console_that_wants_a_renewal_all_the_time_gets_one_a_second(dialling):
    console = Console(a_welcome(renew_seconds=0.0))
    link = dialling(console)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: console.heard)
        for _ in range(200):
            await asyncio.sleep(0)
        running.cancel()
    renewals = [m for m in map(codec.decode_control, console.heard) if isinstance(m, Renew)]
    assert len(renewals) == 1


@pytest.mark.parametrize("grace", [-1.0, 1e308])
async def test_a_grace_that_cannot_be_ends_no_process(dialling, grace):
    console = Console(a_welcome(grace_seconds=grace))
    link = dialling(console)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online")
        console.channel.abort()
        await until(lambda: console.dials == 2)
        running.cancel()


async def test_a_console_sends_a_node_away_for_an_hour_at_most(dialling):
    console = Console(a_welcome())
    link = dialling(console)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online")
        console.channel.send(codec.encode_control(Goaway(reason="restart", reconnect_in_ms=2**53)))
        console.channel.close()
        await until(lambda: link.view.state == "waiting")
        await until(lambda: type(link._state).__name__ == "Waiting")
        assert link._state.until - link._clock.monotonic() <= 3600
        running.cancel()

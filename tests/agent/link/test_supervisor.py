from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.clock import SystemClock
from byoi_agent.errors import LinkError
from byoi_agent.identity.keys import Identity
from byoi_agent.link import supervisor
from byoi_agent.link.connection import Proven
from byoi_agent.link.machine import Limits
from byoi_agent.link.supervisor import LinkStopped, LinkSupervisor
from byoi_wire import codec
from byoi_wire.aio.inbox import Inbox
from byoi_wire.aio.memory import pair
from byoi_wire.errors import HandshakeRefused
from byoi_wire.messages import Goaway, PinAsk, PinEnd, Renew, RotateKey, Welcome
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
        self.identities = []
        self.meanwhile = None
        self.channel = None

    async def connect(self, _url, identity, *_, **__):
        self.dials += 1
        self.identities.append(identity.key_id)
        self.meanwhile, meanwhile = None, self.meanwhile
        if meanwhile is not None:
            meanwhile()
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

    def dialling(console, keys=None, **limits):
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
            keys=keys,
        )

    return dialling


async def until(holds):
    async with asyncio.timeout(60):
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
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: console.heard)
        for _ in range(200):
            await asyncio.sleep(0)
        running.cancel()
    renewals = [m for m in map(codec.decode_control, console.heard) if isinstance(m, Renew)]
    assert 1 <= len(renewals) <= 1 + (time.monotonic() - began)


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


class Keys:
    def __init__(self):
        self.told = []

    def proven(self, identity):
        self.told.append(("proven", identity.key_id))

    def refused(self, identity):
        self.told.append(("refused", identity.key_id))

    def rotation_ordered(self, reason):
        self.told.append(("ordered", reason))


def next_key(link):
    return replace(link._identity, key_id="k2", key=Ed25519PrivateKey.generate())


async def test_a_new_key_brings_the_link_back_at_once_and_the_session_goes_on(dialling):
    console = Console(a_welcome(), a_welcome(epoch=2, resumed=()))
    keys = Keys()
    link = dialling(console, keys=keys)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: keys.told == [("proven", "k")])
        link.succeed(next_key(link))
        await until(lambda: link.view.resumes == 1)
        assert console.identities == ["k", "k2"]
        assert keys.told[-1] == ("proven", "k2")
        console.channel.abort()
        await until(lambda: console.dials == 3)
        assert console.identities[-1] == "k2"
        running.cancel()


async def test_a_key_named_while_the_link_is_dialled_is_used_right_after(dialling):
    console = Console(a_welcome(), a_welcome(epoch=2, resumed=()))
    link = dialling(console, keys=Keys())
    console.meanwhile = lambda: link.succeed(next_key(link))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: console.identities == ["k", "k2"])
        running.cancel()


@pytest.mark.parametrize("code", ["reauth", "revoked"])
async def test_a_successor_that_the_console_does_not_know_costs_nothing_but_a_dial(dialling, code):
    console = Console(HandshakeRefused(code, "no"), a_welcome())
    keys = Keys()
    link = dialling(console, keys=keys)
    link._successor = next_key(link)  # as from a process that a crash ended
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online")
        assert console.identities == ["k2", "k"]
        assert keys.told == [("refused", "k2"), ("proven", "k")]
        running.cancel()


async def test_a_console_that_knows_neither_key_has_the_last_word(dialling):
    console = Console(HandshakeRefused("revoked", "no"), HandshakeRefused("revoked", "no"))
    link = dialling(console)
    link._successor = next_key(link)
    with pytest.raises(LinkStopped):
        await link.run()
    assert console.identities == ["k2", "k"]


async def test_the_console_s_order_reaches_whoever_keeps_the_keys(dialling):
    console, keys = Console(a_welcome()), Keys()
    link = dialling(console, keys=keys)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online")
        console.channel.send(codec.encode_control(RotateKey(reason="old")))
        await until(lambda: ("ordered", "old") in keys.told)
        running.cancel()


async def test_what_a_console_asks_of_the_node_reaches_whoever_keeps_consents(dialling):
    console, heard = Console(a_welcome()), []
    link = dialling(console)
    ask = PinAsk(pin_id="pin_1", org_id="org_1", organisation="One", asked_at_ms=1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online")
        console.channel.send(codec.encode_control(ask))  # nobody listens yet
        link.hear_pins(heard.append)
        console.channel.send(codec.encode_control(ask))
        console.channel.send(codec.encode_control(PinEnd(pin_id="pin_1")))
        await until(lambda: PinEnd(pin_id="pin_1") in heard)
        running.cancel()
    assert ask in heard


async def test_the_view_says_since_when_what_went_wrong_and_when_the_next_try_is(dialling):
    link = dialling(Console(LinkError("no route", retry=True, retry_after_seconds=60.0)))
    before = SystemClock().wall()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(link.run())
        await until(lambda: link.view.next_try_at is not None)
        task.cancel()
    view = link.view
    assert (view.state, view.last_error) == ("waiting", "no route")
    assert before <= view.since <= SystemClock().wall()
    assert before + 60 <= view.next_try_at <= before + 70


async def test_the_last_error_outlives_the_links_return(dialling):
    link = dialling(Console(LinkError("no route", retry=True), a_welcome()))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(link.run())
        await until(lambda: link.view.state == "online" and link.view.next_try_at is None)
        view = link.view
        task.cancel()
    assert (view.reason, view.last_error) == (None, "no route")

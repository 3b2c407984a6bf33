from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import ConfigError, LinkError
from byoi_agent.identity.keys import Identity
from byoi_agent.link import connection
from byoi_agent.link.connection import connect, tls_context
from byoi_wire import codec
from byoi_wire.aio.memory import pair
from byoi_wire.errors import HandshakeRefused
from byoi_wire.handshake import ConsoleHandshake
from byoi_wire.messages import Reject

ORIGIN = "https://console.example"


class Console:
    """A console's end of a line, which answers what a test gives it."""

    def __init__(self, channel, *, origin=ORIGIN, key=None):
        self.channel = channel
        self.key = key or Ed25519PrivateKey.generate()
        self.origin = origin
        self.verdict = None
        self.heard = []
        channel.attach(self)

    def challenge(self):
        handshake = ConsoleHandshake(
            origin=self.origin, key_id="c", key=self.key, nonce=secrets.token_hex(16), now_ms=0
        )
        self.channel.send(handshake.text)

    def message_received(self, message):
        self.heard.append(message)
        if self.verdict is not None:
            self.channel.send(self.verdict)

    def channel_writable(self): ...
    def channel_closed(self, code, reason): ...


@pytest.fixture
def meet(monkeypatch):
    """Dials a console that the test holds; gives the console, and what becomes of the dial."""

    async def meet(**facts):
        ours, theirs = pair()
        console = Console(theirs, **facts)

        async def dial(*_, **__):
            return ours

        monkeypatch.setattr(connection, "dial", dial)
        return console, ours

    return meet


def identity_for(key, origin=ORIGIN):
    return Identity(
        node_id="n",
        key_id="k",
        key=Ed25519PrivateKey.generate(),
        console_key=key.public_key(),
        console_key_id="c",
        origin=origin,
        console_url=origin,
    )


async def dialled(identity):
    return await connect("wss://console.example", identity, "i", None, tls=None, agent="test")


async def test_another_console_at_the_same_address_hears_nothing_of_this_node(meet):
    console, _ = await meet()
    console.challenge()
    with pytest.raises(LinkError, match="another console answers at wss") as refused:
        await dialled(identity_for(Ed25519PrivateKey.generate()))
    assert refused.value.retry
    assert console.heard == []


async def test_a_proof_is_never_given_for_another_origin(meet):
    console, _ = await meet(origin="https://elsewhere.example")
    console.challenge()
    with pytest.raises(LinkError, match=r"challenge for https://elsewhere\.example"):
        await dialled(identity_for(console.key))
    assert console.heard == []


@pytest.mark.parametrize(
    "verdict",
    [
        "nonsense",
        '{"type":"welcome"}',
        '{"type":"renew","seq":1}',
        b"\x03\x00",
        '{"type":"reject","code":"mine_bitcoin","message":""}',
        "x" * 100_000,
    ],
    ids=["text", "half a welcome", "another message", "frames", "unknown code", "too much"],
)
async def test_nonsense_for_a_verdict_is_tried_again_later(meet, verdict):
    console, _ = await meet()
    console.verdict = verdict
    console.challenge()
    with pytest.raises(LinkError) as refused:
        await dialled(identity_for(console.key))
    assert refused.value.retry


@pytest.mark.parametrize("wait_ms", [10**400, -5])
async def test_a_verdict_with_an_impossible_wait_is_still_a_verdict(meet, wait_ms):
    console, _ = await meet()
    text = codec.encode_control(Reject(code="retry", message="busy", retry_after_ms=1))
    console.verdict = text.replace('"retry_after_ms":1', f'"retry_after_ms":{wait_ms}')
    console.challenge()
    with pytest.raises((HandshakeRefused, LinkError)):
        await dialled(identity_for(console.key))


async def test_a_console_that_says_nothing_is_given_up(meet, monkeypatch):
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.01)
    await meet()
    with pytest.raises(LinkError, match="did not answer the handshake"):
        await dialled(identity_for(Ed25519PrivateKey.generate()))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("999999999", 3600.0),
        ("9" * 400, None),
        ("\xb2", None),  # str.isdigit() holds for a superscript, float() does not take it
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        (None, None),
    ],
)
async def test_whatever_stands_in_retry_after_is_a_bounded_wait_or_none(
    monkeypatch, header, seconds
):
    async def refuse(*_, **__):
        raise connection.DialRefused("answered with HTTP 503", 503, header)

    monkeypatch.setattr(connection, "dial", refuse)
    with pytest.raises(LinkError) as refused:
        await dialled(identity_for(Ed25519PrivateKey.generate()))
    assert refused.value.retry_after_seconds == seconds


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_certificates_that_is_none_is_a_wrong_setting(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="cannot be used"):
        tls_context(file)

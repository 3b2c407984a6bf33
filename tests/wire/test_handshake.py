from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire import codec, handshake
from byoi_wire.errors import HandshakeRefused, ProtocolViolation, SignatureInvalid
from byoi_wire.handshake import ConsoleHandshake, NodeHandshake
from byoi_wire.messages import (
    Challenge,
    Limits,
    Ping,
    Reject,
    ResumeOffer,
    StreamOffset,
    Welcome,
)

ORIGIN = "https://console.example"
CONSOLE_KEY = Ed25519PrivateKey.from_private_bytes(b"c" * 32)
NODE_KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
WELCOME = Welcome(
    session_id="s_1",
    epoch=1,
    limits=Limits(window_bytes=1, data_bytes=1, message_bytes=1),
    lease_seconds=40,
    renew_seconds=10,
    grace_seconds=15,
)


def console(*, key=CONSOLE_KEY, origin=ORIGIN, nonce="console-nonce") -> ConsoleHandshake:
    return ConsoleHandshake(origin=origin, key_id="ckey_1", key=key, nonce=nonce, now_ms=1_000)


def node(*, origin=ORIGIN, key=NODE_KEY) -> NodeHandshake:
    return NodeHandshake(
        node_id="node_1",
        key_id="nkey_1",
        key=key,
        console_key=CONSOLE_KEY.public_key(),
        origin=origin,
        instance_id="inst_1",
        nonce="node-nonce",
        agent="byoi/0.1.0",
    )


def signed_challenge(**changes) -> str:
    """A challenge with other content, signed by the right key."""
    challenge = codec.decode_control(console().text).model_copy(update=changes)
    proof = CONSOLE_KEY.sign(handshake._challenge_transcript(challenge))
    text = base64.b64encode(proof).decode()
    return codec.encode_control(challenge.model_copy(update={"signature": text}))


@pytest.mark.parametrize(
    "resume", [None, ResumeOffer(session_id="s_1", streams=(StreamOffset(stream=1, received=2),))]
)
def test_both_sides_prove_themselves_in_one_round_trip(resume):
    door = console()
    hello = door.read_hello(codec.encode_control(node().answer(door.text, resume)))
    door.verify(hello, NODE_KEY.public_key())
    assert (hello.node_id, hello.instance_id, hello.version) == ("node_1", "inst_1", "byoi.v1")
    assert hello.resume == resume
    assert node().conclude(codec.encode_control(WELCOME)) == WELCOME


def test_a_challenge_relayed_from_another_console_is_refused_by_the_node():
    other = console(origin="https://other.example")
    with pytest.raises(SignatureInvalid, match="enrolled with"):
        node().answer(other.text, None)


def test_a_proof_relayed_to_another_console_is_refused_there():
    """The node enrolled with `other`; the man in the middle wants to enter ours."""
    door = console()
    hello = node(origin="https://other.example")
    challenge = codec.decode_control(door.text)
    unsigned = node().answer(door.text, None).model_copy(update={"signature": ""})
    transcript = handshake._hello_transcript(unsigned, challenge, door.text, hello._origin)
    proof = base64.b64encode(NODE_KEY.sign(transcript)).decode()
    with pytest.raises(SignatureInvalid):
        door.verify(unsigned.model_copy(update={"signature": proof}), NODE_KEY.public_key())


def test_a_console_with_another_key_is_refused():
    with pytest.raises(SignatureInvalid, match="console's challenge"):
        node().answer(console(key=STRANGER).text, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonce", "other"),
        ("origin", "https://other.example"),
        ("console_key_id", "ckey_2"),
        ("server_time_ms", 2_000),
        ("versions", ["byoi.v0", "byoi.v1"]),
        ("signature", "bm90IGEgc2lnbmF0dXJl"),
        ("signature", "not base64!"),
        ("signature", ""),
    ],
)
def test_a_challenge_with_one_field_tampered_is_refused(field, value):
    text = json.loads(console().text) | {field: value}
    with pytest.raises(SignatureInvalid):
        node().answer(json.dumps(text), None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node_id", "node_2"),
        ("key_id", "nkey_2"),
        ("nonce", "other"),
        ("instance_id", "inst_2"),
        ("version", "byoi.v2"),
        ("signature", ""),
        ("signature", "é"),
        ("signature", base64.b64encode(bytes(64)).decode()),
    ],
)
def test_a_hello_with_one_field_tampered_is_refused(field, value):
    door = console()
    hello = node().answer(door.text, None).model_copy(update={field: value})
    with pytest.raises(SignatureInvalid):
        door.verify(hello, NODE_KEY.public_key())


def test_parts_cannot_be_shifted_from_one_field_to_the_next():
    door = console()
    hello = node().answer(door.text, None)
    shifted = hello.model_copy(update={"node_id": "node_", "key_id": "1nkey_1"})
    with pytest.raises(SignatureInvalid):
        door.verify(shifted, NODE_KEY.public_key())


def test_a_hello_of_another_node_s_key_is_refused():
    door = console()
    hello = node(key=STRANGER).answer(door.text, None)
    with pytest.raises(SignatureInvalid, match="node_1"):
        door.verify(hello, NODE_KEY.public_key())


def test_a_hello_replayed_to_another_challenge_is_refused():
    hello = node().answer(console().text, None)
    again = console(nonce="the next nonce")
    with pytest.raises(SignatureInvalid):
        again.verify(hello, NODE_KEY.public_key())


def test_a_challenge_rewritten_on_the_way_does_not_verify_though_it_means_the_same():
    """The node signs the challenge's bytes, so that what it saw is what the console said."""
    door = console()
    text = json.dumps(json.loads(door.text) | {"from_a_later_version": True})
    hello = node().answer(text, None)
    with pytest.raises(SignatureInvalid):
        door.verify(hello, NODE_KEY.public_key())


def test_a_node_that_finds_no_version_of_its_own_stops():
    with pytest.raises(HandshakeRefused) as refusal:
        node().answer(signed_challenge(versions=("byoi.v9",)), None)
    assert refusal.value.code == "upgrade_required"


def test_a_console_that_does_not_know_the_version_says_upgrade():
    door = console()
    hello = node().answer(door.text, None).model_copy(update={"version": "byoi.v9"})
    with pytest.raises(HandshakeRefused) as refusal:
        door.read_hello(codec.encode_control(hello))
    assert refusal.value.code == "upgrade_required"


def test_a_later_console_s_other_versions_are_passed_over():
    text = signed_challenge(versions=("byoi.v2", "byoi.v1"))
    assert node().answer(text, None).version == "byoi.v1"


@pytest.mark.parametrize(("wait_ms", "seconds"), [(None, None), (1500, 1.5)])
def test_a_reject_is_heard_instead_of_challenge_and_of_welcome(wait_ms, seconds):
    text = codec.encode_control(Reject(code="reauth", message="who?", retry_after_ms=wait_ms))
    for hear, code in (
        (lambda: node().answer(text, None), "retry"),  # from a stranger, who proved nothing
        (lambda: node().conclude(text), "reauth"),
    ):
        with pytest.raises(HandshakeRefused, match=r"who\?") as refusal:
            hear()
        assert refusal.value.code == code
        assert refusal.value.retry_after_seconds == seconds


@pytest.mark.parametrize("text", [codec.encode_control(Ping(seq=1)), '{"type":"later"}'])
def test_another_message_in_place_of_the_expected_one_is_a_violation(text):
    for hear in (
        lambda: console().read_hello(text),
        lambda: node().answer(text, None),
        lambda: node().conclude(text),
    ):
        with pytest.raises(ProtocolViolation, match="expected"):
            hear()


@given(st.text(max_size=100))
def test_garbage_is_a_violation_at_every_step(text):
    for hear in (
        lambda: console().read_hello(text),
        lambda: node().answer(text, None),
        lambda: node().conclude(text),
    ):
        with pytest.raises(ProtocolViolation):
            hear()


def test_the_challenge_tells_the_console_s_time_and_key():
    challenge = codec.decode_control(console().text)
    assert isinstance(challenge, Challenge)
    assert (challenge.server_time_ms, challenge.console_key_id) == (1_000, "ckey_1")

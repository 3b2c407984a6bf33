"""docs/protocol.md says what the wire package does: fields, numbers, bytes."""

from __future__ import annotations

import base64
import hashlib
import re
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_wire import codec
from byoi_wire.handshake import ConsoleHandshake, NodeHandshake
from byoi_wire.ids import InstanceId, KeyId, NodeId, StreamId
from byoi_wire.messages import Data, End, Head, Open, Reset, Window
from byoi_wire.usage import SignedRecord, open_record

CONSOLE, NODE = Ed25519PrivateKey.from_private_bytes(b"\1" * 32), Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def page(docs):
    return (docs / "protocol.md").read_text()


def parts(*values: str | bytes) -> bytes:
    """The transcript as the page describes it."""
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(struct.pack(">I", len(value)) + value for value in raw)


def test_generated_tables_are_those_of_the_code(generate, page):
    assert generate.filled("protocol.md", page) == page, "run: python docs/generate.py"


@pytest.mark.parametrize(
    "frame",
    [
        Open(StreamId(1), b"{}"),
        Head(StreamId(1), b'{"status":200}'),
        Data(StreamId(1), b"data: x\n\n"),
        End(StreamId(1)),
        Reset(StreamId(1), 1, "the client left"),
        Window(StreamId(1), 10, 262154),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_example_bytes_of_each_frame_are_what_is_sent(page, frame):
    sent = codec.encode([frame])
    written = re.search(
        rf"^{type(frame).__name__.upper()} +((?:[0-9a-f]{{2}} ?)+)", page, re.MULTILINE
    )
    assert written, f"the page has no example of {type(frame).__name__.upper()}"
    assert bytes.fromhex(written[1]) == sent


@pytest.fixture
def challenge():
    handshake = ConsoleHandshake(
        origin="https://console.example",
        key_id=KeyId("ckey_1"),
        key=CONSOLE,
        nonce="00ff",
        now_ms=1_700_000_000_000,
    )
    return handshake.text, codec.decode_control(handshake.text)


def test_challenge_is_signed_over_the_parts_that_the_page_lists(challenge):
    _, message = challenge
    signed = parts(
        "byoi-challenge-v1",
        message.nonce,
        message.origin,
        message.console_key_id,
        str(message.server_time_ms),
        ",".join(message.versions),
    )
    CONSOLE.public_key().verify(base64.b64decode(message.signature), signed)


def test_hello_is_signed_over_the_parts_that_the_page_lists(challenge):
    text, message = challenge
    hello = NodeHandshake(
        node_id=NodeId("node_1"),
        key_id=KeyId("nkey_1"),
        key=NODE,
        console_key=CONSOLE.public_key(),
        origin="https://console.example",
        instance_id=InstanceId("abcd"),
        nonce="ff00",
        agent="byoi/0",
    ).answer(text, None)
    signed = parts(
        "byoi-auth-v1",
        "https://console.example",
        message.nonce,
        hello.nonce,
        hello.node_id,
        hello.key_id,
        hello.instance_id,
        hashlib.sha256(text.encode()).digest(),
        hello.version,
    )
    NODE.public_key().verify(base64.b64decode(hello.signature), signed)


def test_a_record_is_signed_over_the_tag_and_its_bytes_as_sent():
    body = (
        '{"request_id":"r","attempt":1,"ticket":"t","node_id":"n","model":"m","route":"/v1/x",'
        '"outcome":"complete","status":200,"usage":{},"counted_by":"none","started_at_ms":0,'
        '"duration_ms":0}'
    )
    signature = base64.b64encode(NODE.sign(b"byoi-usage-v1\0" + body.encode())).decode()
    signed = SignedRecord(body=body, key_id=KeyId("k"), signature=signature)
    assert open_record(signed, NODE.public_key()).request_id == "r"

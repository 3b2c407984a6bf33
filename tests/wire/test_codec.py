"""Frames and control messages, and what is written of them byte for byte in tests/wire/golden.

A golden file changes together with docs/protocol.md and messages.py, or not at all.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire import codec
from byoi_wire.codec import HEAD_LIMIT_BYTES, REASON_LIMIT_BYTES
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import (
    Advertise,
    Availability,
    Challenge,
    Data,
    DataFlag,
    Draining,
    End,
    Goaway,
    Head,
    Hello,
    Limits,
    Open,
    PinAnswer,
    PinAsk,
    PinEnd,
    Ping,
    Pong,
    RecordName,
    Reject,
    Renew,
    Reset,
    ResetCode,
    ResumeOffer,
    RotateKey,
    Status,
    StreamOffset,
    UsageAck,
    UsageBatch,
    Welcome,
    Window,
)
from byoi_wire.offers import Device, Host, Measured, ModelOffer, Prices
from byoi_wire.usage import SignedRecord
from byoi_wire.version import DATA_LIMIT_BYTES, MESSAGE_LIMIT_BYTES

GOLDEN = Path(__file__).parent / "golden"

FRAMES = {
    "open": Open(1, b'{"request_id":"req_1"}'),
    "head": Head(1, b'{"status":200}'),
    "data": Data(2**32 - 1, b"data: {}\n\n"),
    "data-websocket": Data(3, b"hello", DataFlag.TEXT | DataFlag.MORE),
    "end": End(5),
    "end-trailer": End(5, b'{"usage":{}}'),
    "reset": Reset(7, ResetCode.CANCELLED, "the client left"),
    "window": Window(9, 262_144, 2**63),
}

CONTROL = {
    "challenge": Challenge(
        nonce="n1",
        origin="https://console.example",
        console_key_id="ckey_1",
        signature="c2ln",
        server_time_ms=1_700_000_000_000,
        versions=("byoi.v1",),
    ),
    "hello": Hello(
        node_id="node_1",
        key_id="nkey_1",
        nonce="n2",
        signature="c2ln",
        instance_id="inst_1",
        version="byoi.v1",
        agent="byoi/0.1.0",
        resume=ResumeOffer(session_id="s_1", streams=(StreamOffset(stream=3, received=17),)),
    ),
    "welcome": Welcome(
        session_id="s_1",
        epoch=2,
        resumed=(StreamOffset(stream=3, received=5),),
        limits=Limits(window_bytes=262_144, data_bytes=16_384, message_bytes=65_536),
        lease_seconds=40,
        renew_seconds=10,
        grace_seconds=15,
    ),
    "reject": Reject(code="retry", message="busy", retry_after_ms=1500),
    "goaway": Goaway(reason="restart", reconnect_in_ms=100, try_for_ms=5000),
    "rotate_key": RotateKey(reason="ordered by an administrator"),
    "draining": Draining(deadline_seconds=30),
    "advertise": Advertise(
        version=4,
        agent_version="0.1.0",
        host=Host(os="linux", architecture="x86_64", cpu_cores=2),
        devices=(Device(index=0, kind="nvidia", name="H200", memory_total_bytes=2**37),),
        models=(
            ModelOffer(id="m", engine="vllm", routes=("/v1/chat/completions",)),
            ModelOffer(
                id="m-adapted",
                engine="vllm",
                routes=("/v1/chat/completions",),
                is_loaded=False,
                load_seconds=12.5,
                slots=4,
                base="m",
                prices=Prices(currency="EUR", input=0.1, output=0.4),
                measured=Measured(
                    at_ms=1_700_000_000_000,
                    engine="vllm 0.32.0",
                    first_token_ms=80,
                    prefill_tokens_per_second=9000,
                    decode_tokens_per_second=95,
                    knee_concurrency=16,
                    knee_tokens_per_second=1100,
                    joules_per_token=0.4,
                    flops=1.2e14,
                ),
            ),
        ),
        slots=8,
        queue=2,
    ),
    "status": Status(
        running=3,
        waiting=1,
        memory_used_bytes=(1, None),
        temperatures_celsius=(61,),
        power_watts=(290.5,),
    ),
    "availability": Availability(
        serving=False,
        reason="paused by its owner",
        code="paused",
        mode="idle",
        is_paused=True,
        until_ms=1_700_000_000_000,
    ),
    "pin.ask": PinAsk(
        pin_id="pin_1",
        org_id="org_1",
        organisation="Example",
        reason="for the night's batch",
        asked_by="ada@example.org",
        asked_at_ms=1_700_000_000_000,
    ),
    "pin.end": PinEnd(pin_id="pin_1"),
    "pin.answer": PinAnswer(
        pin_id="pin_1", state="granted", actor="uid 1000 (jo)", at_ms=1_700_000_000_001
    ),
    "renew": Renew(seq=12),
    "ping": Ping(seq=1),
    "pong": Pong(seq=1),
    "usage.batch": UsageBatch(
        records=(SignedRecord(body="{}", key_id="nkey_1", signature="eA=="),)
    ),
    "usage.ack": UsageAck(ids=(RecordName(request_id="req_1", attempt=1),)),
}

streams = st.integers(0, 2**32 - 1)
offsets = st.integers(0, 2**64 - 1)
payloads = st.binary(max_size=300)
reasons = st.text(max_size=80).filter(lambda text: len(text.encode()) <= REASON_LIMIT_BYTES)
frames = st.one_of(
    st.builds(Open, streams, payloads),
    st.builds(Head, streams, payloads),
    st.builds(Data, streams, payloads, st.integers(0, 255)),
    st.builds(End, streams, payloads),
    st.builds(Reset, streams, st.integers(0, 2**16 - 1), reasons),
    st.builds(Window, streams, offsets, offsets),
)


def header(kind: int, length: int, *, flags: int = 0, stream: int = 1) -> bytes:
    return struct.pack(">BBII", kind, flags, stream, length)


@given(st.lists(frames, max_size=20))
def test_any_frames_come_back_as_they_went(sent):
    assert codec.decode(codec.encode(sent)) == sent


@given(st.lists(frames, min_size=1, max_size=4))
def test_a_message_cut_anywhere_is_whole_frames_or_a_violation(sent):
    message = codec.encode(sent)
    boundaries = {len(codec.encode(sent[:count])): count for count in range(len(sent) + 1)}
    for cut in range(len(message)):
        if cut in boundaries:
            assert codec.decode(message[:cut]) == sent[: boundaries[cut]]
        else:
            with pytest.raises(ProtocolViolation):
                codec.decode(message[:cut])


@given(st.binary(max_size=400))
def test_garbage_is_frames_or_a_violation(garbage):
    try:
        decoded = codec.decode(garbage)
    except ProtocolViolation:
        return
    assert codec.decode(codec.encode(decoded)) == decoded


@given(
    st.integers(0, 8),
    st.integers(0, 255),
    streams,
    st.one_of(st.integers(0, 64), st.integers(0, 2**32 - 1)),
    st.binary(max_size=64),
)
def test_a_header_that_lies_is_frames_or_a_violation(kind, flags, stream, length, payload):
    try:
        codec.decode(header(kind, length, flags=flags, stream=stream) + payload)
    except ProtocolViolation as violation:
        assert violation.close_code in {1002, 1009}  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (1, HEAD_LIMIT_BYTES),
        (2, HEAD_LIMIT_BYTES),
        (3, DATA_LIMIT_BYTES),
        (4, HEAD_LIMIT_BYTES),
    ],
)
def test_a_payload_may_be_as_large_as_its_limit_and_no_larger(kind, limit):
    (frame,) = codec.decode(header(kind, limit) + bytes(limit))
    assert len(frame[1]) == limit
    with pytest.raises(ProtocolViolation) as violation:
        codec.decode(header(kind, limit + 1) + bytes(limit + 1))
    assert violation.value.close_code == 1009


def test_a_message_may_be_as_large_as_its_limit_and_no_larger():
    empty = header(3, 0)
    full = empty * (MESSAGE_LIMIT_BYTES // len(empty))
    full = (
        header(3, MESSAGE_LIMIT_BYTES % len(empty))
        + bytes(MESSAGE_LIMIT_BYTES % len(empty))
        + (full[len(empty) :])
    )
    assert len(full) == MESSAGE_LIMIT_BYTES
    assert codec.decode(full)
    with pytest.raises(ProtocolViolation) as violation:
        codec.decode(full + b"\x00")
    assert violation.value.close_code == 1009


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_an_unknown_frame_type_is_a_violation(kind):
    with pytest.raises(ProtocolViolation, match="unknown frame type"):
        codec.decode(header(kind, 0))


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_window_of_another_size_is_a_violation(length):
    with pytest.raises(ProtocolViolation, match="WINDOW"):
        codec.decode(header(6, length) + bytes(length))


@pytest.mark.parametrize("length", [0, 1])
def test_a_reset_without_its_code_is_a_violation(length):
    with pytest.raises(ProtocolViolation, match="RESET"):
        codec.decode(header(5, length) + bytes(length))


def test_a_reason_is_cut_to_its_limit_by_the_sender_and_by_the_reader():
    (frame,) = codec.decode(codec.encode([Reset(1, 0, "é" * REASON_LIMIT_BYTES)]))
    assert frame.reason == "é" * (REASON_LIMIT_BYTES // 2)
    long = b"\x00\x01" + b"x" * 5000
    (frame,) = codec.decode(header(5, len(long)) + long)
    assert frame.reason == "x" * REASON_LIMIT_BYTES


def test_a_reason_that_is_no_text_does_no_harm():
    assert codec.decode(codec.encode([Reset(1, 0, "\ud800")]))[0].reason == "?"
    assert codec.decode(header(5, 3) + b"\x00\x01\xff")[0].reason == "\ufffd"


@pytest.mark.parametrize("message", CONTROL.values(), ids=CONTROL)
def test_every_control_message_comes_back_as_it_went(message):
    assert codec.decode_control(codec.encode_control(message)) == message


@pytest.mark.parametrize("message", CONTROL.values(), ids=CONTROL)
def test_unknown_fields_are_ignored(message):
    text = json.loads(codec.encode_control(message)) | {"from_a_later_version": {"deep": [1]}}
    assert codec.decode_control(json.dumps(text)) == message


@pytest.mark.parametrize("message", CONTROL.values(), ids=CONTROL)
def test_a_known_type_without_its_fields_is_a_violation_unless_it_needs_none(message):
    with pytest.raises(ProtocolViolation):
        codec.decode_control(json.dumps({"type": message.type, "seq": None, "reason": 5}))


@pytest.mark.parametrize(
    "text",
    ['{"type":"from.a.later.version","a":1}', '{"type":""}', '{"type":null}', '{"type":[1]}'],
)
def test_an_unknown_type_is_ignored(text):
    assert codec.decode_control(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        '{"type":"ping"}',
        '{"type":"ping","seq":"x"}',
        '{"type":"ping","seq":1} {"type":"ping","seq":1}',
        '{"type":"draining","deadline_seconds":NaN}',
        '{"type":"draining","deadline_seconds":Infinity}',
        '{"type":"status","running":-1,"waiting":0}',
        '{"type":"status","running":9007199254740993,"waiting":0}',
        '{"type":"ping","seq":' + "9" * 5000 + "}",
        '{"type":"later","deep":' + "[" * 5000 + "]" * 5000 + "}",
        "[" * 60_000,
        '"\ud800"',
    ],
)
def test_malformed_control_messages_are_violations(text):
    with pytest.raises(ProtocolViolation):
        codec.decode_control(text)


def test_a_violation_does_not_repeat_the_peer_s_text():
    with pytest.raises(ProtocolViolation) as violation:
        codec.decode_control('{"type":"reject","code":"secret-words","message":5}')
    assert "secret-words" not in str(violation.value)


def test_a_control_message_may_be_as_long_as_its_limit_and_no_longer():
    text = '{"type":"ping","seq":1}'
    full = text + " " * (MESSAGE_LIMIT_BYTES - len(text))
    assert codec.decode_control(full) == Ping(seq=1)
    with pytest.raises(ProtocolViolation) as violation:
        codec.decode_control(full + " ")
    assert violation.value.close_code == 1009


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(list(CONTROL.values())), st.data())
def test_a_message_with_one_field_changed_is_a_message_or_a_violation(message, data):
    fields = json.loads(codec.encode_control(message))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    try:
        codec.decode_control(json.dumps(fields))
    except ProtocolViolation as violation:
        assert violation.close_code == 1002  # noqa: PT017 (either outcome is right)


@given(st.text(max_size=200))
def test_any_text_is_a_violation_or_ignored(text):
    try:
        assert codec.decode_control(text) is None
    except ProtocolViolation:
        return


@pytest.mark.parametrize(("name", "frame"), FRAMES.items(), ids=FRAMES)
def test_frames_are_written_as_the_golden_files_say(name, frame):
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())
    assert codec.encode([frame]) == golden
    assert codec.decode(golden) == [frame]


@pytest.mark.parametrize(("name", "message"), CONTROL.items(), ids=CONTROL)
def test_control_messages_are_written_as_the_golden_files_say(name, message):
    golden = (GOLDEN / f"{name}.json").read_text().rstrip("\n")
    assert codec.encode_control(message) == golden
    assert codec.decode_control(golden) == message


def test_every_golden_file_is_read():
    written = {f"{name}.hex" for name in FRAMES} | {f"{name}.json" for name in CONTROL}
    assert {file.name for file in GOLDEN.iterdir()} == written

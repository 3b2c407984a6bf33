from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from byoi_wire.errors import SignatureInvalid
from byoi_wire.ids import RecordId
from byoi_wire.usage import SignedRecord, Usage, UsageRecord, open_record, sign

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def record(**changes) -> UsageRecord:
    facts = {
        "request_id": "req_1",
        "attempt": 2,
        "ticket": "t",
        "node_id": "node_1",
        "model": "m",
        "route": "/v1/chat/completions",
        "outcome": "complete",
        "status": 200,
        "usage": Usage(prompt_tokens=7, completion_tokens=3),
        "counted_by": "engine",
        "started_at_ms": 1_700_000_000_000,
        "duration_ms": 12.5,
    }
    return UsageRecord(**(facts | changes))


def test_a_signed_record_opens_as_it_was_sealed():
    sealed = SignedRecord.model_validate_json(sign(record(), "nkey_1", KEY).model_dump_json())
    assert open_record(sealed, KEY.public_key()) == record()
    assert sealed.key_id == "nkey_1"


def test_a_record_is_named_by_request_and_attempt():
    assert record().record_id == RecordId("req_1", 2)
    assert str(record().record_id) == "req_1/2"


@pytest.mark.parametrize(
    "change",
    [
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": "é"},
        {"signature": sign(record(attempt=3), "nkey_1", KEY).signature},
        {"body": record(attempt=3).model_dump_json()},
        {"body": " " + record().model_dump_json()},
    ],
)
def test_a_record_that_was_touched_does_not_open(change):
    sealed = sign(record(), "nkey_1", KEY).model_copy(update=change)
    with pytest.raises(SignatureInvalid):
        open_record(sealed, KEY.public_key())


def test_a_record_of_another_key_does_not_open():
    with pytest.raises(SignatureInvalid, match="nkey_1"):
        open_record(sign(record(), "nkey_1", STRANGER), KEY.public_key())


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 0},
        {"usage": {"prompt_tokens": -1}},
        {"usage": {"completion_tokens": 2**53 + 1}},
        {"duration_ms": "NaN"},
        {"outcome": "fine"},
        {"started_at_ms": 10**30},
    ],
)
def test_a_record_with_impossible_content_does_not_open_though_it_is_signed(change):
    fields = json.loads(record().model_dump_json()) | change
    with pytest.raises(ValidationError):
        UsageRecord.model_validate(fields)
    body = json.dumps(fields)
    sealed = sign(record().model_copy(update={}), "nkey_1", KEY)
    forged = sealed.model_copy(update={"body": body, "signature": _signature(body)})
    with pytest.raises(SignatureInvalid):
        open_record(forged, KEY.public_key())


def _signature(body: str) -> str:
    import base64

    return base64.b64encode(KEY.sign(b"byoi-usage-v1\x00" + body.encode())).decode()


def test_a_later_version_s_fields_pass():
    body = json.dumps(json.loads(record().model_dump_json()) | {"later": 1})
    sealed = SignedRecord(body=body, key_id="nkey_1", signature=_signature(body))
    assert open_record(sealed, KEY.public_key()) == record()


@given(st.text(max_size=50), st.text(max_size=50))
def test_garbage_never_opens(body, signature):
    sealed = SignedRecord(body=body, key_id="k", signature=signature)
    with pytest.raises(SignatureInvalid):
        open_record(sealed, KEY.public_key())

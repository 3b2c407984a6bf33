from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from byoi_agent.errors import IdentityError
from byoi_agent.identity.keys import (
    fingerprint_of,
    from_pem,
    public_key_from,
    raw_public_key,
    to_pem,
)


def test_a_key_survives_its_text(key):
    again = from_pem(to_pem(key), "here")
    assert raw_public_key(again) == raw_public_key(key)
    assert fingerprint_of(again) == fingerprint_of(key.public_key())


def test_a_public_key_is_read_from_its_32_bytes(key):
    text = base64.b64encode(raw_public_key(key)).decode()
    assert raw_public_key(public_key_from(text)) == raw_public_key(key)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "é"])
def test_anything_else_is_no_public_key(text):
    with pytest.raises(IdentityError):
        public_key_from(text)


def test_a_damaged_key_is_refused_without_quoting_it(key):
    damaged = to_pem(key).replace(b"MC4", b"XXX")
    with pytest.raises(IdentityError, match="here") as caught:
        from_pem(damaged, "here")
    assert "XXX" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_of_another_kind_is_refused():
    other = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(IdentityError, match="another kind"):
        from_pem(other, "here")

from __future__ import annotations

import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import IdentityError
from byoi_agent.identity.dpapi import machine_seal
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of


class Machine:
    """Seals by a letter, and opens only what has its own."""

    def __init__(self, letter):
        self.letter = letter

    def close(self, secret):
        return self.letter + secret[::-1]

    def open(self, sealed):
        if not sealed.startswith(self.letter):
            raise OSError("The data is invalid")
        return sealed[1:][::-1]


def test_a_key_is_written_sealed_and_opens_on_its_machine_alone(tmp_path):
    key = Ed25519PrivateKey.generate()
    store = FileStore(tmp_path / "keys", Machine(b"a"))
    store.save(key)
    (file,) = (tmp_path / "keys").iterdir()
    assert b"PRIVATE" not in file.read_bytes()
    found = store.load(fingerprint_of(key))
    assert found.private_bytes_raw() == key.private_bytes_raw()
    with pytest.raises(IdentityError, match="another machine"):
        FileStore(tmp_path / "keys", Machine(b"b")).load(fingerprint_of(key))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has one")
def test_elsewhere_there_is_no_seal():
    assert machine_seal() is None

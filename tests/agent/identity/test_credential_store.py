from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import IdentityError
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.keys import fingerprint_of, raw_public_key, to_pem


@pytest.fixture
def store(tmp_path, key):
    (tmp_path / "device-key").write_bytes(to_pem(key))
    return CredentialStore({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_the_key_that_systemd_hands_in_is_used(store, key):
    assert raw_public_key(store.load(fingerprint_of(key))) == raw_public_key(key)
    store.save(key)


def test_another_key_is_neither_found_nor_taken(store):
    other = Ed25519PrivateKey.generate()
    assert store.load(fingerprint_of(other)) is None
    with pytest.raises(IdentityError, match="cannot be written"):
        store.save(other)


@pytest.mark.parametrize("environment", [{}, {"CREDENTIALS_DIRECTORY": "/nowhere"}])
def test_without_a_credential_there_is_no_key(environment, key):
    store = CredentialStore(environment)
    assert store.key() is None
    with pytest.raises(IdentityError):
        store.save(key)
    store.delete(fingerprint_of(key))


def test_a_folder_that_systemd_left_to_root_holds_no_credential(store, key, monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may enter any folder
    assert CredentialStore({"CREDENTIALS_DIRECTORY": str(tmp_path)}).key() is None


def test_a_credential_that_is_no_file_is_an_error(tmp_path):
    (tmp_path / "device-key").mkdir()
    with pytest.raises(IdentityError, match="cannot be read"):
        CredentialStore({"CREDENTIALS_DIRECTORY": str(tmp_path)}).key()

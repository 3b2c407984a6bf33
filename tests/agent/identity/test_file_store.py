from __future__ import annotations

import stat

import pytest

from byoi_agent.errors import IdentityError
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, raw_public_key


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "keys")


def test_a_saved_key_is_found_under_its_fingerprint_and_can_be_forgotten(store, key):
    store.save(key)
    assert raw_public_key(store.load(fingerprint_of(key))) == raw_public_key(key)
    store.delete(fingerprint_of(key))
    store.delete(fingerprint_of(key))
    assert store.load(fingerprint_of(key)) is None


def test_only_the_owner_may_read_the_key(store, key, tmp_path):
    store.save(key)
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_key_that_others_may_read_is_not_used(store, key, tmp_path):
    store.save(key)
    (file,) = (tmp_path / "keys").iterdir()
    file.chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        store.load(fingerprint_of(key))


def test_a_folder_that_cannot_be_made_is_a_refusal(tmp_path, key):
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(IdentityError, match="cannot be written"):
        FileStore(tmp_path / "keys").save(key)

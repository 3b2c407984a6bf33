from __future__ import annotations

import hashlib

from byoi_console.store.identifiers import new_id, secret_hash


def test_an_id_names_its_kind_and_is_never_made_twice():
    made = {new_id("node") for _ in range(1000)}
    assert len(made) == 1000
    assert all(each.startswith("node_") for each in made)


def test_a_secret_is_kept_as_its_sha_256():
    assert secret_hash("abc") == hashlib.sha256(b"abc").hexdigest()
